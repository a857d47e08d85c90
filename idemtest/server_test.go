package idemtest_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/idem-go/idem/idemtest"
	"github.com/stretchr/testify/require"
)

type apiError struct {
	Error struct{ Type, Param, Code, Message string }
}

func errorOf(t *testing.T, a answer) apiError {
	t.Helper()
	require.NoError(t, a.err)
	require.Equal(t, "application/json", a.header.Get("Content-Type"))
	require.NotEmpty(t, a.header.Get("Request-Id"))
	var e apiError
	require.NoError(t, json.Unmarshal([]byte(a.body), &e), a.body)
	return e
}

// The same key with the same parameters is answered with the first reply:
// status, headers and body.
func TestKeyReplaysTheFirstReply(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	a := newAgent(t, s)
	first := a.create("key-1")
	require.Equal(t, 200, first.status)
	require.Empty(t, first.header.Get("Idempotent-Replayed"))
	second := a.create("key-1")
	require.Equal(t, "true", second.header.Get("Idempotent-Replayed"))
	require.Equal(t, first.body, second.body)
	second.header.Del("Idempotent-Replayed")
	first.header.Del("Date")
	second.header.Del("Date")
	require.Equal(t, first.header, second.header)

	require.Len(t, s.Effects(), 1)
	keys := s.Keys()
	require.Len(t, keys, 1)
	require.Equal(t, 1, keys[0].Replays)
	require.Equal(t, first.body, string(keys[0].Body))
	require.Equal(t, s.Effects()[0].ID, keys[0].EffectID)
	require.Equal(t, []idemtest.Did{idemtest.DidExecute, idemtest.DidReplay},
		[]idemtest.Did{s.Arrivals()[0].Did, s.Arrivals()[1].Did})
	require.Empty(t, s.Check())
}

// The parameters decide what is the same, not their order or encoding; method
// and path belong to them.
func TestKeyWithOtherParametersIsRefused(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	a := newAgent(t, s)
	require.Equal(t, 200, a.create("key-1").status)
	same := a.sendAs("POST", "/v1/invoices", "key-1", `{"metadata":{"order":"1234"},"currency":"usd","amount":500}`, "application/json")
	require.Equal(t, "true", same.header.Get("Idempotent-Replayed"))
	for _, other := range []answer{
		a.send("POST", "/v1/invoices", "key-1", strings.Replace(invoice, "500", "501", 1)),
		a.send("POST", "/v1/charges", "key-1", invoice),
		a.send("POST", "/v1/invoices?expand=customer", "key-1", invoice),
		a.send("POST", "/v1/invoices", "key-1", "amount=wrong"), // before it is validated
		a.send("DELETE", "/v1/invoices/in_1", "key-1", ""),
	} {
		require.Equal(t, 400, other.status)
		require.Equal(t, "idempotency_error", errorOf(t, other).Error.Type)
		require.Equal(t, idemtest.DidDiffer, s.Arrivals()[2].Did)
	}
	require.Len(t, s.Effects(), 1)
}

// Large integers in JSON are not rounded on their way into the comparison.
func TestJSONIntegersStayExact(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	a := newAgent(t, s)
	body := `{"amount":9007199254740993,"currency":"usd"}`
	require.Contains(t, a.sendAs("POST", "/v1/charges", "key-1", body, "application/json").body, `"amount":9007199254740993`)
	near := strings.Replace(body, "993", "992", 1)
	require.Equal(t, 400, a.sendAs("POST", "/v1/charges", "key-1", near, "application/json").status)
}

// Nested parameters mean the same as a form and as JSON, and the ledger keeps
// them flat.
func TestNestedParameters(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t, nil) // an option that is nil changes nothing
	a := newAgent(t, s)
	first := a.sendAs("POST", "/v1/customers", "key-1",
		`{"name":"Å <b>","tags":["x","y"],"address":{"city":"Oslo","zip":null,"home":true},"metadata":{"a":"1","b":"2"}}`, "application/json; charset=utf-8")
	require.Equal(t, 200, first.status, first.body)
	same := a.send("POST", "/v1/customers", "key-1", form("name", "Å <b>", "tags[0]", "x", "tags[1]", "y",
		"address[city]", "Oslo", "address[zip]", "", "address[home]", "true", "metadata[a]", "1", "metadata[b]", "2"))
	require.Equal(t, first.body, same.body)
	effect := s.EffectsOf("key-1")[0]
	require.Equal(t, "Oslo", effect.Params["address[city]"])
	require.Equal(t, map[string]string{"a": "1", "b": "2"}, effect.Metadata)
	require.Contains(t, a.send("GET", "/v1/customers?"+form("name", "Å <b>"), "", "").body, first.body)

	// Names given twice keep their order, which makes a difference.
	require.Equal(t, 200, a.send("POST", "/v1/customers", "key-2", "tag=x&tag=y").status)
	require.Equal(t, "x,y", s.EffectsOf("key-2")[0].Params["tag"])
	require.Equal(t, 400, a.send("POST", "/v1/customers", "key-2", "tag=y&tag=x").status)

	// An empty value takes a metadata name away, as at Stripe.
	got := a.send("POST", "/v1/customers/cus_1", "key-3", "metadata[a]=")
	require.Contains(t, got.body, `"metadata":{"b":"2"}`)
	require.Equal(t, 400, a.send("GET", "/v1/customers?a=%zz", "", "").status)
	require.Equal(t, 400, a.send("POST", "/v1/charges", "key-4", "amount=1&currency=u5d").status)
}

// Refused parameters leave no trace under the key.
func TestValidationComesBeforeTheKey(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	a := newAgent(t, s)
	for _, row := range []struct{ path, body, param, code string }{
		{"/v1/charges", "currency=usd", "amount", "parameter_missing"},
		{"/v1/charges", "amount=0&currency=usd", "amount", "parameter_invalid_integer"},
		{"/v1/charges", "amount=-5&currency=usd", "amount", "parameter_invalid_integer"},
		{"/v1/charges", "amount=5.5&currency=usd", "amount", "parameter_invalid_integer"},
		{"/v1/charges", "amount=99999999999999999999&currency=usd", "amount", "parameter_invalid_integer"},
		{"/v1/charges", "amount=05&currency=usd", "amount", "parameter_invalid_integer"},
		{"/v1/invoices", "amount=5", "currency", "parameter_missing"},
		{"/v1/invoices", "amount=5&currency=dollars", "currency", "parameter_invalid_string"},
		{"/v1/refunds", "amount=none", "amount", "parameter_invalid_integer"},
	} {
		got := a.send("POST", row.path, "key-1", row.body)
		e := errorOf(t, got).Error
		require.Equal(t, 400, got.status, row.body)
		require.Equal(t, "invalid_request_error", e.Type)
		require.Equal(t, row.param, e.Param, row.body)
		require.Equal(t, row.code, e.Code, row.body)
		require.NotEmpty(t, e.Message)
		require.Equal(t, "false", got.header.Get("Stripe-Should-Retry"))
	}
	require.Empty(t, s.Keys())
	require.Empty(t, s.Effects())
	require.Equal(t, 200, a.create("key-1").status, "the key is free")
}

// What cannot be read is refused, and says why.
func TestUnreadableRequests(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t, idemtest.WithMaxBody(1000))
	a := newAgent(t, s)
	for _, row := range []struct {
		method, path, body, contentType string
		status                          int
	}{
		{"POST", "/v1/charges", `{"amount":5`, "application/json", 400},
		{"POST", "/v1/charges", `[5]`, "application/json", 400},
		{"POST", "/v1/charges", `{"amount":5} {}`, "application/json", 400},
		{"POST", "/v1/charges", "amount=%zz", "application/x-www-form-urlencoded", 400},
		{"POST", "/v1/charges", "<amount/>", "text/xml", 400},
		{"POST", "/v1/charges", strings.Repeat("x", 1001), "application/json", 413},
		{"POST", "/v1/dragons", "a=1", "application/x-www-form-urlencoded", 404},
		{"POST", "/v1/charges/a/b", "a=1", "application/x-www-form-urlencoded", 404},
		{"POST", "/charges", "a=1", "application/x-www-form-urlencoded", 404},
		{"PUT", "/v1/charges", "a=1", "application/x-www-form-urlencoded", 405},
		{"DELETE", "/v1/charges", "", "", 405},
		{"POST", "/v1/charges/ch_9", "amount=5", "application/x-www-form-urlencoded", 404},
	} {
		got := a.sendAs(row.method, row.path, "key-1", row.body, row.contentType)
		require.Equal(t, row.status, got.status, "%v", row)
		require.NotEmpty(t, errorOf(t, got).Error.Message)
	}
	require.Empty(t, s.Keys())
}

// Authorization comes first: before the path, the key and the parameters. Its
// value is nowhere in the ledger.
func TestAuthorizationComesFirst(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t, idemtest.WithSecret("sk_other_secret"))
	a := newAgent(t, s)
	require.Equal(t, 401, a.create("key-1").status)
	require.Equal(t, 401, a.send("POST", "/v1/dragons", "key-1", "amount=wrong").status)
	require.Empty(t, s.Keys())
	require.False(t, last(t, s).Authorized)
	a.secret = "sk_other_secret"
	require.Equal(t, 200, a.create("key-1").status)
	require.True(t, last(t, s).Authorized)
	text, err := json.Marshal(s.Ledger())
	require.NoError(t, err)
	require.NotContains(t, string(text), "sk_")
	require.NotContains(t, string(text), "Bearer")
}

// A key is honoured for its retention and no longer, by a clock that a test
// moves; the ledger tells the executions apart.
func TestKeyExpires(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t, idemtest.WithRetention(time.Hour))
	a := newAgent(t, s)
	require.Equal(t, 200, a.create("key-1").status)
	s.Advance(59 * time.Minute)
	require.Equal(t, "true", a.create("key-1").header.Get("Idempotent-Replayed"))
	require.False(t, s.Keys()[0].Expired)
	s.Advance(2 * time.Minute)
	require.True(t, s.Keys()[0].Expired)
	// Another payload may have the key now.
	got := a.send("POST", "/v1/charges", "key-1", invoice)
	require.Equal(t, 200, got.status)
	require.Empty(t, got.header.Get("Idempotent-Replayed"))
	effects := s.EffectsOf("key-1")
	require.Len(t, effects, 2)
	require.Equal(t, []int{1, 2}, []int{effects[0].Generation, effects[1].Generation})
	require.Equal(t, idemtest.DidRenew, last(t, s).Did)
	require.False(t, s.Keys()[1].Expired)

	// By hand, and by a fault.
	require.True(t, s.ExpireKey("key-1"))
	require.False(t, s.ExpireKey("key-1"))
	require.False(t, s.ExpireKey("key-unknown"))
	require.Equal(t, 200, a.create("key-1").status)
	require.Equal(t, idemtest.DidRenew, last(t, s).Did)
	script(t, s, idemtest.Fault{Kind: idemtest.KeyExpired})
	require.Equal(t, 200, a.create("key-1").status)
	require.Equal(t, idemtest.DidRenew, last(t, s).Did)
	require.Len(t, s.EffectsOf("key-1"), 4)
	// One effect each time; the other payload is all that is wrong.
	for _, v := range s.Check() {
		require.Equal(t, idemtest.RuleOnePayload, v.Rule)
	}
}

// Without a key, and where keys are ignored, each request executes; where they
// are required, none does.
func TestWithoutKeys(t *testing.T) {
	t.Parallel()
	plain := idemtest.Start(t)
	a := newAgent(t, plain)
	require.NotEqual(t, a.create("").body, a.create("").body)
	require.Len(t, plain.EffectsOf(""), 2)
	require.Empty(t, plain.Keys())

	ignoring := idemtest.Start(t, idemtest.IgnoreKeys())
	a = newAgent(t, ignoring)
	require.NotEqual(t, a.create("key-1").body, a.create("key-1").body)
	require.Len(t, ignoring.EffectsOf("key-1"), 2)
	require.Empty(t, ignoring.Keys())
	require.Empty(t, ignoring.Check(), "a server that promises nothing breaks nothing")

	strict := idemtest.Start(t, idemtest.RequireKey())
	a = newAgent(t, strict)
	require.Equal(t, "idempotency_key_missing", errorOf(t, a.create("")).Error.Code)
	require.Equal(t, 400, a.create(strings.Repeat("k", 256)).status)
	require.Empty(t, strict.Effects())
	require.Equal(t, 200, a.create(strings.Repeat("k", 255)).status)
}

// Resources can be read back and searched as an agent does that asks "did it
// happen?"; what a search returns is the reply's own bytes.
func TestResources(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	a := newAgent(t, s)
	created := a.create("key-1")
	require.Equal(t, created.body, a.send("GET", "/v1/invoices/in_1", "", "").body)
	found := a.send("GET", "/v1/invoices?"+form("metadata[order]", "1234"), "", "")
	require.JSONEq(t, `{"object":"list","data":[`+created.body+`],"has_more":false}`, found.body)
	require.Contains(t, found.body, created.body)
	for _, none := range []string{"/v1/invoices?" + form("metadata[order]", "9"), "/v1/charges", "/v1/invoices?currency=eur"} {
		require.Contains(t, a.send("GET", none, "", "").body, `"data":[]`)
	}

	require.Equal(t, 200, a.send("POST", "/v1/invoices", "key-2", form("amount", "7", "currency", "EUR", "description", `a "b" <c>`)).status)
	updated := a.send("POST", "/v1/invoices/in_2", "key-3", form("description", "paid", "metadata[order]", "5"))
	require.Contains(t, updated.body, `"description":"paid"`)
	require.Contains(t, updated.body, `"amount":7`)
	gone := a.send("DELETE", "/v1/invoices/in_2", "key-4", "")
	require.JSONEq(t, `{"id":"in_2","object":"invoice","deleted":true}`, gone.body)
	require.Equal(t, gone.body, a.send("DELETE", "/v1/invoices/in_2", "key-4", "").body, "replayed")
	require.Equal(t, 404, a.send("DELETE", "/v1/invoices/in_2", "key-5", "").status)
	require.Equal(t, 404, a.send("GET", "/v1/invoices/in_2", "", "").status)
	require.Equal(t, 404, a.send("GET", "/v1/charges/in_1", "", "").status)
	for _, kind := range []string{"refunds", "customers"} {
		require.Equal(t, 200, a.send("POST", "/v1/"+kind, "key-"+kind, "metadata[a]=b").status)
	}
	actions := make([]string, 0, 6)
	for _, e := range s.Effects() {
		actions = append(actions, e.Kind+" "+e.Action)
	}
	require.Equal(t, []string{"invoice create", "invoice create", "invoice update", "invoice delete", "refund create", "customer create"}, actions)
	require.Equal(t, map[string]string{"order": "5"}, s.EffectsOf("key-3")[0].Metadata)
}

// What the ledger hands out are copies.
func TestLedgerIsACopy(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	newAgent(t, s).create("key-1")
	s.Arrivals()[0].Header["Content-Type"] = "spoilt"
	s.Effects()[0].Params["amount"] = "spoilt"
	s.Keys()[0].Header.Set("Request-Id", "spoilt")
	s.Keys()[0].Body[0] = '!'
	text, err := json.Marshal(s.Ledger())
	require.NoError(t, err)
	require.NotContains(t, string(text), "spoilt")
	require.Equal(t, byte('{'), s.Keys()[0].Body[0])
}

// Options that make no sense are named.
func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]idemtest.ServerOption{
		"WithAddr":         idemtest.WithAddr(""),
		"cannot listen on": idemtest.WithAddr("203.0.113.1:1"),
		"WithSecret":       idemtest.WithSecret(""),
		"WithRetention":    idemtest.WithRetention(0),
		"WithMaxBody":      idemtest.WithMaxBody(-1),
		"WithRandomFaults": idemtest.WithRandomFaults(1, 2),
		"is no fault":      idemtest.WithRandomFaults(1, 0.5, idemtest.NoFault),
		"WithStore":        idemtest.WithStore(t.TempDir() + "/missing/store"),
	} {
		s, err := idemtest.NewServer(opt)
		require.ErrorContains(t, err, name)
		require.Nil(t, s)
	}
	_, err := idemtest.NewServer(idemtest.IgnoreKeys(), idemtest.RequireKey())
	require.ErrorContains(t, err, "exclude each other")
	s := idemtest.Start(t)
	require.ErrorContains(t, s.Script(idemtest.Fault{Kind: 200}), "FaultKind(200)")
	require.ErrorContains(t, s.Script(idemtest.Fault{Kind: idemtest.SlowReply, Delay: -1}), "slow_reply")
	require.ErrorContains(t, s.ScriptKey("k", idemtest.Fault{Kind: idemtest.BigBody, Size: 1 << 40}), "big_body")
	require.Zero(t, s.Scripted())
}

// Headers over the limit are refused by net/http before they reach the ledger.
func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	req, err := http.NewRequestWithContext(ctx(t), "GET", s.URL()+"/v1/charges", nil)
	require.NoError(t, err)
	req.Header.Set("X-Large", strings.Repeat("x", 128<<10))
	got := newAgent(t, s).do(req)
	if got.err == nil { // the server may have closed before the client could read
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, got.status)
	}
	require.Empty(t, s.Arrivals())
}

// 200 requests at once, 50 keys: one effect a key, whatever the order.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	a := newAgent(t, s)
	answers := make(chan answer, 200)
	for i := range 200 {
		go func() { answers <- a.create("key-" + strconv.Itoa(i%50)) }()
	}
	for range 200 {
		got := <-answers
		require.NoError(t, got.err)
		require.Equal(t, 200, got.status)
	}
	require.Len(t, s.Effects(), 50)
	require.Len(t, s.Arrivals(), 200)
	require.Empty(t, s.Check())
}
