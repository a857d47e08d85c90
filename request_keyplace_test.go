package idem_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// byteServer answers the first request with 503 and the others with 200, and says
// what each of them was, to the byte.
func byteServer(t *testing.T) (addr string, heads func() []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var mu sync.Mutex
	var seen []string
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(conn)
			var head strings.Builder
			length := 0
			for {
				line, err := r.ReadString('\n')
				if err != nil || line == "\r\n" {
					break
				}
				fmt.Sscanf(line, "Content-Length: %d", &length)
				head.WriteString(line)
			}
			body, _ := io.ReadAll(io.LimitReader(r, int64(length)))
			mu.Lock()
			seen = append(seen, head.String()+string(body))
			status := "200 OK"
			if len(seen) == 1 {
				status = "503 Service Unavailable"
			}
			mu.Unlock()
			fmt.Fprintf(conn, "HTTP/1.1 %s\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", status)
			conn.Close()
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String(), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

// Every attempt of an intent is the same request, to the byte: the first one, which
// has the caller's request at hand, and those made from the journal.
func TestEveryAttemptIsTheSameRequest(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *http.Request){
		"plain":              func(*http.Request) {},
		"no user agent":      func(r *http.Request) { r.Header["User-Agent"] = nil },
		"empty user agent":   func(r *http.Request) { r.Header["User-Agent"] = []string{""} },
		"empty list":         func(r *http.Request) { r.Header["X-Empty"] = []string{} },
		"lower case header":  func(r *http.Request) { r.Header["x-low"] = []string{"v"} },
		"empty value":        func(r *http.Request) { r.Header["X-E"] = []string{""} },
		"spaces in value":    func(r *http.Request) { r.Header["X-S"] = []string{"  v  "} },
		"two values":         func(r *http.Request) { r.Header["X-Two"] = []string{"1", "2"} },
		"raw path":           func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/a/b", "/a%2fb" },
		"opaque":             func(r *http.Request) { r.URL.Opaque = "//" + r.URL.Host + "/a%2fb" },
		"another host":       func(r *http.Request) { r.Host = "other.example" },
		"empty query":        func(r *http.Request) { r.URL.ForceQuery = true },
		"two slashes":        func(r *http.Request) { r.URL.Path = "//a//b" },
		"secret in query":    func(r *http.Request) { r.URL.RawQuery = "a=1&token=secret&b=2" },
		"credentials in URL": func(r *http.Request) { r.URL.RawQuery = "a=1"; r.SetBasicAuth("user", "word") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, heads := byteServer(t)
			c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("charge", clientkit.Stripe()))
			req, err := http.NewRequest(http.MethodPost, "http://"+addr+"/p", strings.NewReader("a=1"))
			require.NoError(t, err)
			change(req)
			_, err = c.Do(req, idem.Operation{Name: "charge", ID: "1"})
			require.NoError(t, err)
			seen := heads()
			require.Len(t, seen, 2)
			require.Equal(t, seen[0], seen[1])
		})
	}
}

// What Policy.Authorize writes into the headers, in place as well, is that attempt's
// alone, and the key is not its to change.
func TestAuthorizeWritesIntoOneAttemptOnly(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var keys, credentials []string
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		credentials = append(credentials, r.Header.Get("Authorization"))
		if len(keys) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(far.Close)
	p := clientkit.Stripe()
	p.Authorize = func(r *http.Request) error {
		r.Header["Idempotency-Key"][0] = "mine"
		r.Header["Authorization"][0] += ", signed"
		return nil
	}
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("charge", p))
	req, err := http.NewRequest(http.MethodPost, far.URL, strings.NewReader("a=1"))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer x")
	in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "1"}, req)
	require.NoError(t, err)
	_, err = in.Do(testkit.Context(t))
	require.NoError(t, err)
	for i := range 3 {
		require.Equal(t, in.Key(), keys[i])
		require.Equal(t, "Bearer x, signed", credentials[i])
	}
	require.Equal(t, "Bearer x", req.Header.Get("Authorization"), "the caller's own stay as they were")
}

// detached is how programs cut a context loose by hand: its deadline stays.
type detached struct{ context.Context }

func (detached) Done() <-chan struct{} { return nil }

func (detached) Err() error { return nil }

// Every attempt ends after its AttemptTimeout, whatever context the caller has: the
// time in which a key may be sent is counted with it.
func TestAnAttemptEndsUnderADetachedContext(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		io.WriteString(w, "{}")
	}))
	t.Cleanup(far.Close)
	var once sync.Once
	let := func() { once.Do(func() { close(release) }) }
	defer let()
	defer time.AfterFunc(20*time.Second, let).Stop() // so that what is broken fails, and does not hang
	p := clientkit.Stripe()
	p.Retry.AttemptTimeout, p.Retry.MaxAttempts = 100*time.Millisecond, 1
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("charge", p))
	parent, cancel := context.WithTimeout(testkit.Context(t), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequest(http.MethodPost, far.URL, strings.NewReader("a=1"))
	require.NoError(t, err)
	_, err = c.Do(req.WithContext(detached{parent}), idem.Operation{Name: "charge", ID: "1"})
	require.ErrorIs(t, err, idem.ErrInDoubt)
}

// A program's own code that ends its goroutine, as a test's FailNow does, leaves the
// caller with an error, never with neither reply nor error.
func TestAnEndedGoroutineIsInDoubt(t *testing.T) {
	t.Parallel()
	p := clientkit.Stripe()
	p.Authorize = func(*http.Request) error { runtime.Goexit(); return nil }
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("charge", p))
	resp, err := c.Do(testkit.NewInvoice(t, "http://api.invalid", 5).WithContext(testkit.Context(t)), idem.Operation{Name: "charge", ID: "1"})
	require.Nil(t, resp)
	require.ErrorIs(t, err, idem.ErrInDoubt)
	require.ErrorContains(t, err, "ended the goroutine")
}

// One intent, one key, for ever: every attempt carries the intent's key and no other,
// whatever key the caller or its SDK had put there. Nothing puts it right afterwards
// here, as it does where Policy.Authorize was called.
func TestEveryAttemptCarriesTheKeyAlone(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var sent [][]string
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, r.Header.Values("Idempotency-Key"))
		if len(sent)%3 != 0 { // two are lost
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, `{}`)
	}))
	t.Cleanup(far.Close)
	for _, contract := range []idem.Contract{idem.Stripe(), idem.IETF()} {
		mu.Lock()
		sent = nil
		mu.Unlock()
		c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", idem.Policy{Contract: contract, Retry: clientkit.Quick()}))
		req := testkit.NewInvoice(t, far.URL, 500)
		req.Header.Set("Idempotency-Key", "the-sdk's-own")
		in, err := c.Begin(testkit.Context(t), clientkit.Order(), req)
		require.NoError(t, err)
		resp, err := in.Do(testkit.Context(t))
		require.False(t, errors.Is(err, idem.ErrInDoubt), "%v", err)
		require.NoError(t, err)
		require.Equal(t, `{}`, testkit.BodyOf(t, resp))
		key := in.Key()
		if contract.Quoted {
			key = `"` + key + `"`
		}
		mu.Lock()
		require.Equal(t, [][]string{{key}, {key}, {key}}, sent, contract.Name)
		mu.Unlock()
		require.Equal(t, "the-sdk's-own", req.Header.Get("Idempotency-Key"), "the caller's request is left alone")
	}
}

// Where the key goes, and that nothing takes it away.

// The key stands where the contract says, the same in every attempt, and the rest
// of the payload is what the caller gave, byte for byte.
func TestKeyPlaces(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		contract  idem.Contract
		kind      string
		body      string
		uri, want string // with KEY for the key
		header    string
		value     string
	}{
		"no place":          {idem.Contract{}, testkit.Form, "a=1", "/?q=1", "a=1", "Idempotency-Key", "KEY"},
		"a header":          {idem.Contract{Header: "PayPal-Request-Id"}, testkit.Form, "a=1", "/?q=1", "a=1", "Paypal-Request-Id", "KEY"},
		"a quoted header":   {idem.Contract{Quoted: true}, testkit.Form, "a=1", "/?q=1", "a=1", "Idempotency-Key", `"KEY"`},
		"the query":         {idem.Contract{Query: "requestId"}, testkit.Form, "a=1", "/?q=1&requestId=KEY", "a=1", "", ""},
		"a form's field":    {idem.Contract{Field: "/idempotency_key"}, testkit.Form, "a=%20+1", "/?q=1", "a=%20+1&idempotency_key=KEY", "", ""},
		"a form that had":   {idem.Contract{Field: "/idempotency_key"}, testkit.Form, "idempotency_key=old&a=1", "/?q=1", "a=1&idempotency_key=KEY", "", ""},
		"a JSON member":     {idem.Contract{Field: "/key"}, testkit.JSON, "{ \"n\": 1.0,\n\"big\": 9007199254740993 }", "/?q=1", "{\"key\":\"KEY\", \"n\": 1.0,\n\"big\": 9007199254740993 }", "", ""},
		"an empty object":   {idem.Contract{Field: "/key"}, testkit.JSON, `{}`, "/?q=1", `{"key":"KEY"}`, "", ""},
		"a JSON that had":   {idem.Contract{Field: "/key"}, testkit.JSON, `{"a":"\u00e9","key" : "old" , "b":1}`, "/?q=1", `{"a":"\u00e9","key" : "KEY" , "b":1}`, "", ""},
		"a nested member":   {idem.Contract{Field: "/variables/input/key"}, testkit.JSON, `{"key":"x","variables":{"input":{"n":1}}}`, "/?q=1", `{"key":"x","variables":{"input":{"key":"KEY","n":1}}}`, "", ""},
		"an escaped member": {idem.Contract{Field: "/a~1b"}, testkit.JSON, `{"n":1}`, "/?q=1", `{"a/b":"KEY","n":1}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFarSide(t, func(n int, w http.ResponseWriter) {
				if n < 3 {
					hangUp()
				}
				says(w, 200, `{}`)
			})
			x.contract.Name, x.contract.Retention = "test", time.Hour
			c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", idem.Policy{Contract: x.contract, Retry: clientkit.Quick()}))
			req, err := http.NewRequest(http.MethodPost, f.URL+"/?q=1", strings.NewReader(x.body))
			require.NoError(t, err)
			req.Header.Set("Content-Type", x.kind)
			in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "1"}, req)
			require.NoError(t, err)
			_, err = in.Do(testkit.Context(t))
			require.NoError(t, err)
			saw := f.arrivals()
			require.Len(t, saw, 3)
			for _, a := range saw {
				require.Equal(t, strings.ReplaceAll(x.uri, "KEY", in.Key()), a.URI)
				require.Equal(t, strings.ReplaceAll(x.want, "KEY", in.Key()), a.Body)
				require.Equal(t, strings.ReplaceAll(x.value, "KEY", in.Key()), a.Header.Get(x.header))
				if x.header != "Idempotency-Key" {
					require.Empty(t, a.Header.Get("Idempotency-Key"), "one place only")
				}
			}
			require.Equal(t, x.body, string(in.Payload()))
		})
	}
}

// A contract that wants the time of the first attempt gets the same one in every
// attempt, from the next process too.
func TestFirstSentStaysTheSame(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, func(n int, w http.ResponseWriter) {
		if n < 6 {
			hangUp()
		}
		says(w, 200, `{}`)
	})
	path := testkit.NewPath(t)
	p := clientkit.Stripe()
	p.Contract.FirstSent = "Repeatability-First-Sent"
	now := &clientkit.Wall{}
	now.Set(-time.Hour)
	open := func() *idem.Client {
		return clientkit.NewClient(t, path, idem.WithPolicy("*", p), idem.WithClock(now.Now))
	}
	c := open()
	_, err := c.Do(testkit.NewInvoice(t, f.URL, 1), idem.Operation{Name: "charge", ID: "1"})
	require.ErrorIs(t, err, idem.ErrInDoubt)
	require.NoError(t, c.Close())
	now.Set(0)
	report, err := open().Recover(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{Succeeded: 1}, report)
	saw := f.arrivals()
	require.Len(t, saw, 6)
	for _, a := range saw {
		at, err := http.ParseTime(a.Header.Get("Repeatability-First-Sent"))
		require.NoError(t, err)
		require.True(t, at.Before(time.Now().Add(-30*time.Minute)), "it was begun an hour ago")
		require.Equal(t, saw[0].Header["Repeatability-First-Sent"], a.Header["Repeatability-First-Sent"])
	}
}

// Policy.Authorize may add what it likes; the payload and the key stay ours.
func TestAuthorizeCannotTouchPayloadAndKey(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, func(n int, w http.ResponseWriter) { says(w, 200, `{}`) })
	for name, place := range map[string]idem.Contract{
		"header": {Retention: time.Hour}, "quoted": {Retention: time.Hour, Quoted: true}, "query": {Retention: time.Hour, Query: "key"},
	} {
		p := idem.Policy{Contract: place, Retry: clientkit.Quick(), Authorize: func(r *http.Request) error {
			r.Header = http.Header{"Authorization": {"Bearer x"}, "Idempotency-Key": {"other"}}
			r.URL.RawQuery = "signed=1"
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader("other")), 5
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("other")), nil }
			return nil
		}}
		c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", p))
		in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge"}, testkit.NewInvoice(t, f.URL, 500))
		require.NoError(t, err)
		_, err = in.Do(testkit.Context(t))
		require.NoError(t, err)
		saw := f.arrivals()
		last := saw[len(saw)-1]
		require.Equal(t, "amount=500&currency=usd", last.Body, name)
		require.Equal(t, "Bearer x", last.Header.Get("Authorization"))
		switch name {
		case "header":
			require.Equal(t, []string{in.Key()}, last.Header["Idempotency-Key"])
		case "quoted":
			require.Equal(t, []string{`"` + in.Key() + `"`}, last.Header["Idempotency-Key"])
		case "query":
			require.Equal(t, "/v1/invoices?signed=1&key="+in.Key(), last.URI)
		}
	}

	failing := idem.Policy{Contract: idem.Stripe(), Retry: clientkit.Quick(), Authorize: func(*http.Request) error { return errReader }}
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", failing))
	before := len(f.arrivals())
	_, err := c.Do(testkit.NewInvoice(t, f.URL, 500), idem.Operation{Name: "charge", ID: "1"})
	require.ErrorIs(t, err, idem.ErrNotSent)
	require.ErrorIs(t, err, errReader)
	require.Len(t, f.arrivals(), before)
}

// A Policy.Authorize that takes longer than an attempt may: nothing was written.
func TestAuthorizeThatTakesTooLong(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, func(n int, w http.ResponseWriter) { says(w, 200, `{}`) })
	p := clientkit.PromisesNothing()
	p.Retry.MaxAttempts, p.Retry.AttemptTimeout = 1, 20*time.Millisecond
	p.Authorize = func(r *http.Request) error { <-r.Context().Done(); return nil }
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", p))
	in, got := ask(t, c, testkit.NewInvoice(t, f.URL, 500), "1")
	require.ErrorIs(t, got.Err, idem.ErrNotSent)
	require.ErrorIs(t, got.Err, context.DeadlineExceeded)
	require.Zero(t, in.FirstSent())
	require.Empty(t, f.arrivals())
}
