package idem_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// Bad input: what cannot be begun is refused before anything is durable or sent.
// The error names the operation, what is wrong and what to do; the request's body
// is closed; what was recorded before is still there; the client goes on.

var errReader = errors.New("the disk under the payload went away")

// tracked is a body that tells whether it was closed, and may fail half-way.
type tracked struct {
	io.Reader
	closed atomic.Int32
}

func (b *tracked) Close() error { b.closed.Add(1); return nil }

// failing gives its text, then an error.
func failing(text string) io.Reader {
	return io.MultiReader(strings.NewReader(text), errorReader{})
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errReader }

// badRequest is a request or an operation that must be refused.
type badRequest struct {
	op     func(*idem.Operation)
	req    func(*http.Request)
	body   io.Reader
	length int64 // the ContentLength that the request says
	policy func(*idem.Policy)
	is     error
	says   []string
}

const goodForm = "amount=500&currency=usd"

func (x badRequest) request(t testing.TB, server string) (*http.Request, *tracked) {
	body := &tracked{Reader: x.body}
	if x.body == nil {
		body.Reader = strings.NewReader(goodForm)
	}
	req := testkit.NewInvoice(t, server, 500)
	req.Body, req.ContentLength, req.GetBody = body, -1, nil
	if x.length != 0 {
		req.ContentLength = x.length
	}
	if x.req != nil {
		x.req(req)
	}
	return req, body
}

// badRequests are by name what must be refused.
func badRequests() map[string]badRequest {
	op := func(change func(*idem.Operation), says ...string) badRequest {
		return badRequest{op: change, says: says}
	}
	req := func(change func(*http.Request), says ...string) badRequest {
		return badRequest{req: change, says: says}
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = []string{value} }
	}
	query := func(raw string) func(*http.Request) { return func(r *http.Request) { r.URL.RawQuery = raw } }
	key := func(key string, says ...string) badRequest {
		return badRequest{says: append(says, "Contract.NewKey", `contract "stripe"`), policy: func(p *idem.Policy) {
			p.Contract.NewKey = func() string { return key }
		}}
	}
	field := func(contentType, body string) badRequest {
		return badRequest{
			says: []string{`contract "stripe"`, `no object at "" to put the key into`}, body: strings.NewReader(body),
			req:    func(r *http.Request) { r.Header.Set("Content-Type", contentType) },
			policy: func(p *idem.Policy) { p.Contract.Header, p.Contract.Field = "", "/key" },
		}
	}
	long := strings.Repeat("x", 513)
	return map[string]badRequest{
		"no name":            op(func(o *idem.Operation) { o.Name = "" }, "Operation.Name", "create_invoice"),
		"long name":          op(func(o *idem.Operation) { o.Name = long }, "Name", "513 bytes", "512", "shorter"),
		"long scope":         op(func(o *idem.Operation) { o.Scope = long }, "Scope", "513 bytes", "512", "shorter"),
		"long ID":            op(func(o *idem.Operation) { o.ID = long }, "ID", "513 bytes", "512", "shorter"),
		"line break in name": op(func(o *idem.Operation) { o.Name = "create\ninvoice" }, "Name", "control character at byte 6"),
		"NUL in scope":       op(func(o *idem.Operation) { o.Scope = "run\x00" }, "Scope", "control character at byte 3"),
		"DEL in ID":          op(func(o *idem.Operation) { o.ID = "\x7forder" }, "ID", "control character at byte 0"),
		"negative repeat":    op(func(o *idem.Operation) { o.Repeat = -1 }, "Operation.Repeat", "negative"),
		"negative cost":      op(func(o *idem.Operation) { o.Cost = -1 }, "Operation.Cost", "negative"),

		"no URL":             req(func(r *http.Request) { r.URL = nil }, "no URL"),
		"no host":            req(func(r *http.Request) { r.URL.Host = "" }, "no host"),
		"no scheme":          req(func(r *http.Request) { r.URL.Scheme = "" }, "scheme", "http or https"),
		"another scheme":     req(func(r *http.Request) { r.URL.Scheme = "ftp" }, `"ftp"`, "http or https"),
		"an opaque URL":      req(func(r *http.Request) { r.URL.Opaque = "//other.example/v1" }, "Opaque", "RawPath"),
		"no slash":           req(func(r *http.Request) { r.URL.Path = "v1/charges" }, `path "v1/charges"`),
		"two ports":          req(func(r *http.Request) { r.URL.Host = "a.example:1:2" }, "cannot be sent"),
		"line break in host": req(func(r *http.Request) { r.URL.Host = "a.example\nb" }, "URL", "cannot be sent"),
		"space in query":     req(query("a=b c"), "query", "at byte 3"),
		"line in query":      req(query("a=b\nX-Evil: 1"), "query", "at byte 3"),
		"fragment in query":  req(query("a=b#c"), "query", "at byte 3"),
		"a broken opaque":    req(func(r *http.Request) { r.URL.Opaque = "//" + r.URL.Host + "/a%zzb" }, "Opaque", "RawPath"),
		"line in Host":       req(func(r *http.Request) { r.Host = "a.example\r\nX-Evil: 1" }, "Host", "cannot be sent"),
		"bad method":         req(func(r *http.Request) { r.Method = "PO ST" }, `method "PO ST"`),
		"line in header":     req(header("X-Note", "a\nX-Evil: 1"), `header "X-Note"`, "control character"),
		"NUL in header":      req(header("X-Note", "a\x00"), `header "X-Note"`, "control character"),
		"line in credential": req(header("Authorization", "Bearer a\r\nb"), `header "Authorization"`, "control character"),
		"line in cookie":     req(header("Cookie", "a=b\n"), `header "Cookie"`, "control character"),
		"bad header name":    req(header("X Note", "a"), `header "X Note"`, "name"),
		"empty header name":  req(header("", "a"), `header ""`, "name"),

		"payload over the limit, said":   {body: strings.NewReader(strings.Repeat("a=1&", 600)), length: 2400, says: []string{"2400 bytes", "2000", "WithMaxPayload"}},
		"payload over the limit, unsaid": {body: strings.NewReader(strings.Repeat("a=1&", 600)), says: []string{"more than 2000 bytes", "WithMaxPayload"}},
		"reader fails half-way, said":    {body: failing("amount="), length: 10, is: errReader, says: []string{"payload", errReader.Error()}},
		"reader fails half-way, unsaid":  {body: failing("amount="), is: errReader, says: []string{"payload", errReader.Error()}},
		"reader fails at its end":        {body: failing("amount=500"), length: 10, is: errReader, says: []string{"payload", errReader.Error()}},
		"payload too short":              {body: strings.NewReader("amount"), length: 10, says: []string{"ends after 6 of the 10 bytes", "ContentLength"}},
		"payload too long":               {body: strings.NewReader("amount=5000"), length: 10, says: []string{"goes on after the 10 bytes", "ContentLength"}},

		"key over its length":   key(strings.Repeat("k", 256), "256 bytes", "1 to 255"),
		"no key":                key("", "0 bytes"),
		"line break in the key": key("k\n", "not visible ASCII"),
		"space in the key":      key("k k", "not visible ASCII"),
		"quote in the key":      key(`k"k`, "quote"),
		"key that is not ASCII": key("ключ", "not visible ASCII"),
		"line break in a key that its own check takes": {says: []string{"control character", "Contract.NewKey"}, policy: func(p *idem.Policy) {
			p.Contract.NewKey, p.Contract.CheckKey = func() string { return "k\n" }, func(string) error { return nil }
		}},
		"UUID where 32 fit":      {says: []string{"36 bytes", "1 to 32", "Contract.NewKey"}, policy: func(p *idem.Policy) { p.Contract.MaxKey = 32 }},
		"key the far side hates": {is: errReader, says: []string{"Contract.NewKey"}, policy: func(p *idem.Policy) { p.Contract.CheckKey = func(string) error { return errReader } }},
		"no JSON for the key":    field(testkit.JSON, "amount=500"),
		"no object for the key":  field(testkit.JSON, "[1]"),
		"no body for the key":    field(testkit.JSON, ""),
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	for name, x := range badRequests() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := clientkit.NewServer(t)
			p := clientkit.Stripe()
			if x.policy != nil {
				x.policy(&p)
			}
			c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithMaxPayload(2000),
				idem.WithPolicy("*", p), idem.WithPolicy("good", clientkit.Stripe()))
			good := func(id string) string {
				resp, err := c.Do(testkit.NewInvoice(t, s.URL(), 500), idem.Operation{Name: "good", ID: id})
				require.NoError(t, err)
				return testkit.BodyOf(t, resp)
			}
			before := good("before")

			op := idem.Operation{Name: "bad", ID: "1"}
			if x.op != nil {
				x.op(&op)
			}
			refused := func(err error, body *tracked) {
				t.Helper()
				require.Error(t, err)
				require.Regexp(t, `^idem: `, err.Error())
				require.ErrorContains(t, err, "nothing was sent")
				for _, word := range append(x.says, op.Name[:min(len(op.Name), 3)]) {
					require.ErrorContains(t, err, word)
				}
				require.NotContains(t, err.Error(), "\n")
				require.NotErrorIs(t, err, idem.ErrInDoubt)
				if x.is != nil {
					require.ErrorIs(t, err, x.is)
				}
				require.EqualValues(t, 1, body.closed.Load(), "the body is closed once")
			}
			req, body := x.request(t, s.URL())
			_, err := c.Begin(testkit.Context(t), op, req)
			refused(err, body)
			if x.body == nil { // a reader is read only once
				req, body = x.request(t, s.URL())
				_, err = c.Do(req, op)
				refused(err, body)
			}

			require.Len(t, s.Arrivals(), 1, "nothing else arrived")
			for in, err := range c.Intents(testkit.Context(t), idem.Filter{}) {
				require.NoError(t, err)
				require.Equal(t, "before", in.Operation().ID, "nothing was recorded of it")
			}
			require.Equal(t, before, good("before"), "what was recorded is there")
			good("after")
			require.Len(t, s.Effects(), 2)
		})
	}
}

// A read-only operation is refused for the same reasons, and says so as well.
func TestBadReadOnlyRequests(t *testing.T) {
	t.Parallel()
	s := clientkit.NewServer(t)
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", idem.Policy{Effect: idem.ReadOnly}), idem.WithMaxPayload(2000))
	for name, x := range badRequests() {
		if x.policy != nil {
			continue // it has no key
		}
		t.Run(name, func(t *testing.T) {
			op := idem.Operation{Name: "bad", ID: "1"}
			if x.op != nil {
				x.op(&op)
			}
			req, body := x.request(t, s.URL())
			_, err := c.Do(req, op)
			require.ErrorContains(t, err, "nothing was sent")
			for _, word := range append(x.says, op.Name[:min(len(op.Name), 3)]) {
				require.ErrorContains(t, err, word)
			}
			require.EqualValues(t, 1, body.closed.Load())
		})
	}
	require.Empty(t, s.Arrivals())

	_, err := c.Begin(testkit.Context(t), idem.Operation{Name: "list"}, testkit.NewInvoice(t, s.URL(), 1))
	require.ErrorContains(t, err, "list is ReadOnly")
	require.ErrorContains(t, err, "Client.Do")
}

func TestNilRequest(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t))
	for _, call := range []func() error{
		func() error { _, err := c.Do(nil, idem.Operation{Name: "bad"}); return err },
		func() error { _, err := c.Begin(testkit.Context(t), idem.Operation{Name: "bad"}, nil); return err },
		func() error { _, err := c.Do(&http.Request{}, idem.Operation{Name: "bad"}); return err },
		func() error { _, err := c.Do(&http.Request{URL: &url.URL{}}, idem.Operation{Name: "bad"}); return err },
	} {
		require.ErrorContains(t, call(), "idem: bad: the request")
		require.ErrorContains(t, call(), "nothing was sent")
	}
}

func TestContextThatEndedBefore(t *testing.T) {
	t.Parallel()
	s := clientkit.NewServer(t)
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", clientkit.Stripe()))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	x := badRequest{}
	req, body := x.request(t, s.URL())
	_, err := c.Begin(ctx, idem.Operation{Name: "late", ID: "1"}, req)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "late 1")
	require.ErrorContains(t, err, "nothing was sent")
	require.EqualValues(t, 1, body.closed.Load())
	in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "late", ID: "1"}, testkit.NewInvoice(t, s.URL(), 500))
	require.NoError(t, err)
	_, err = in.Do(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, idem.ErrInDoubt)
	require.ErrorContains(t, err, "nothing was sent")
	require.Empty(t, s.Arrivals())
	_, err = in.Do(testkit.Context(t))
	require.NoError(t, err)
}

func TestScopeThatIsRequired(t *testing.T) {
	t.Parallel()
	s := clientkit.NewServer(t)
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", clientkit.Stripe()), idem.WithRequireScope())
	x := badRequest{}
	req, body := x.request(t, s.URL())
	_, err := c.Do(req, idem.Operation{Name: "charge", ID: "1"})
	require.ErrorIs(t, err, idem.ErrNoScope)
	for _, word := range []string{"charge 1", "WithScope", "nothing was sent"} {
		require.ErrorContains(t, err, word)
	}
	require.EqualValues(t, 1, body.closed.Load())
	require.Empty(t, s.Arrivals())
	req, _ = x.request(t, s.URL())
	_, err = c.Do(req.WithContext(idem.WithScope(testkit.Context(t), "run-1")), idem.Operation{Name: "charge", ID: "1"})
	require.NoError(t, err)
}

// A client that is closed says so to every method, and touches nothing.
func TestClosedClient(t *testing.T) {
	t.Parallel()
	s := clientkit.NewServer(t)
	path := testkit.NewPath(t)
	c := clientkit.NewClient(t, path, idem.WithPolicy("*", clientkit.Stripe()))
	in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "1"}, testkit.NewInvoice(t, s.URL(), 500))
	require.NoError(t, err)
	other := testkit.NewInvoice(t, s.URL(), 500)
	tool, err := idem.NewTool(c, "tool", idem.Policy{}, func(context.Context, string, int) (int, error) { return 0, errReader })
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, c.Close(), "closing again does nothing")

	ctx := testkit.Context(t)
	for name, call := range map[string]func() error{
		"Begin":     func() error { _, err := c.Begin(ctx, idem.Operation{Name: "charge"}, other); return err },
		"Do":        func() error { _, err := c.Do(other, idem.Operation{Name: "charge"}); return err },
		"Intent.Do": func() error { _, err := in.Do(ctx); return err },
		"Lookup":    func() error { _, err := c.Lookup(ctx, in.Key()); return err },
		"Resolve":   func() error { return c.Resolve(ctx, in.Key(), idem.Resolution{State: idem.Failed}) },
		"Recover":   func() error { _, err := c.Recover(ctx); return err },
		"Prune":     func() error { _, err := c.Prune(ctx); return err },
		"Stats":     func() error { _, err := c.Stats(ctx); return err },
		"Intents": func() error {
			for _, err := range c.Intents(ctx, idem.Filter{}) {
				return err
			}
			return nil
		},
		"Tool.Call":   func() error { _, err := tool.Call(ctx, "1", 1); return err },
		"Client.Call": func() error { _, err := c.Call(ctx, "tool", "1", []byte("1")); return err },
		"NewTool": func() error {
			_, err := idem.NewTool(c, "another", idem.Policy{}, func(context.Context, string, int) (int, error) { return 0, nil })
			return err
		},
		"Transport": func() error {
			_, err := c.Transport(nil).RoundTrip(other.WithContext(idem.WithOperation(ctx, idem.Operation{Name: "charge", ID: "2"})))
			return err
		},
	} {
		err := call()
		require.ErrorIs(t, err, idem.ErrClosed, name)
		require.ErrorContains(t, err, "closed", name)
	}
	x := badRequest{}
	req, body := x.request(t, s.URL())
	_, err = c.Do(req, idem.Operation{Name: "charge"})
	require.ErrorIs(t, err, idem.ErrClosed)
	require.EqualValues(t, 1, body.closed.Load())
	require.Empty(t, s.Arrivals())
	require.Equal(t, in.Key(), clientkit.ReadJournal(t, path)[0].Key(), "what was begun is there")
}

// Contracts and policies that contradict themselves are refused when the client is
// opened, and no journal is made.
func TestBadPolicies(t *testing.T) {
	t.Parallel()
	contract := func(change func(*idem.Contract)) idem.Option {
		c := idem.Stripe()
		change(&c)
		return idem.WithPolicy("charge", idem.Policy{Contract: c})
	}
	policy := func(change func(*idem.Policy)) idem.Option {
		p := clientkit.Stripe()
		change(&p)
		return idem.WithPolicy("charge", p)
	}
	for name, x := range map[string]struct {
		option idem.Option
		says   string
	}{
		"two places":            {contract(func(c *idem.Contract) { c.Query = "key" }), "more than one place"},
		"no pointer":            {contract(func(c *idem.Contract) { c.Header, c.Field = "", "key" }), "begins with /"},
		"quoted in a query":     {contract(func(c *idem.Contract) { c.Header, c.Query, c.Quoted = "", "key", true }), "Quoted"},
		"negative retention":    {contract(func(c *idem.Contract) { c.Retention = -1 }), "negative"},
		"no key is so long":     {contract(func(c *idem.Contract) { c.MinKey = 256 }), "at least 256 and at most 255"},
		"bad header":            {contract(func(c *idem.Contract) { c.Header = "Idempotency Key" }), "no header is called"},
		"bad first-sent header": {contract(func(c *idem.Contract) { c.FirstSent = "First\nSent" }), "no header is called"},
		"bad replayed header":   {contract(func(c *idem.Contract) { c.Replayed = "Replayed:" }), "no header is called"},
		"one header for two":    {contract(func(c *idem.Contract) { c.FirstSent = "idempotency-key" }), "FirstSent"},
		"negative attempts":     {policy(func(p *idem.Policy) { p.Retry.MaxAttempts = -1 }), "negative"},
		"negative backoff":      {policy(func(p *idem.Policy) { p.Retry.MinBackoff = -1 }), "negative"},
		"negative timeout":      {policy(func(p *idem.Policy) { p.Retry.AttemptTimeout = -1 }), "negative"},
		"longest below least":   {policy(func(p *idem.Policy) { p.Retry.MinBackoff, p.Retry.MaxBackoff = 2, 1 }), "longer than MaxBackoff"},
		"backoff for ever":      {policy(func(p *idem.Policy) { p.Retry.MaxBackoff = 1<<63 - 1 }), "MaxBackoff"},
		"attempt over window":   {policy(func(p *idem.Policy) { p.Retry.AttemptTimeout = 24 * time.Hour }), "AttemptTimeout"},
		"attempt for ever":      {policy(func(p *idem.Policy) { p.Retry.AttemptTimeout = 1<<63 - 1 }), "AttemptTimeout"},
		"empty pointer":         {policy(func(p *idem.Policy) { p.Ignore = []string{""} }), "pointer"},
		"negative window":       {policy(func(p *idem.Policy) { p.Window = -1 }), "negative"},
		"limit without time":    {policy(func(p *idem.Policy) { p.Limit.Intents = 1 }), "Per"},
		"no name":               {idem.WithPolicy("", clientkit.Stripe()), "operation name"},
		"no retention":          {idem.WithRetention(0, time.Hour), "WithRetention"},
		"outcomes too long":     {idem.WithRetention(2*time.Hour, time.Hour), "WithRetention"},
		"no payload":            {idem.WithMaxPayload(0), "WithMaxPayload"},
		"too much payload":      {idem.WithMaxPayload(1 << 30), "WithMaxPayload"},
		"no reply":              {idem.WithMaxReply(-1), "WithMaxReply"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := testkit.NewPath(t)
			_, err := idem.Open(path, x.option)
			require.ErrorContains(t, err, "idem: ")
			require.ErrorContains(t, err, x.says)
			require.NoFileExists(t, path)
			require.NoFileExists(t, path+".owners")
		})
	}
}
