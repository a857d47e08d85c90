package idemtest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/idem-go/idem/idemtest"
	"github.com/stretchr/testify/require"
)

// Every kind is in this table: what the client sees, what the ledger says,
// and that a second request under the key makes one effect in the end, or
// meets what the server stored.
func TestEachFault(t *testing.T) {
	t.Parallel()
	type row struct {
		fault   idemtest.Fault
		whole   bool   // the client got a whole reply
		status  int    // that it saw; 0: none
		body    string // what the body holds
		entered string // Arrival.Answer
		effects int    // after the first request
		retry   int    // the second request's status, without a fault
		replay  bool   // the second request is answered from the store
		check   func(t *testing.T, a answer, s *idemtest.Server)
	}
	header := func(name, value string) func(*testing.T, answer, *idemtest.Server) {
		return func(t *testing.T, a answer, _ *idemtest.Server) { require.Equal(t, value, a.header.Get(name)) }
	}
	const page = "<!DOCTYPE html>"
	rows := map[idemtest.FaultKind]row{
		idemtest.DropBefore:  {entered: "none", retry: 200},
		idemtest.DropAfter:   {entered: "none", effects: 1, retry: 200, replay: true},
		idemtest.ResetUnread: {entered: "none", retry: 200},
		idemtest.ResetBefore: {entered: "none", retry: 200},
		idemtest.ResetAfter:  {entered: "none", effects: 1, retry: 200, replay: true},
		idemtest.StaleUnread: {entered: "none", retry: 200},
		idemtest.StaleAfter:  {entered: "none", effects: 1, retry: 200, replay: true},
		idemtest.SlowReply:   {whole: true, status: 200, body: `"id":"in_1"`, entered: "200", effects: 1, retry: 200, replay: true},
		idemtest.HoldReply: {fault: idemtest.Fault{Delay: time.Millisecond}, whole: true, status: 200, body: `"id":"in_1"`,
			entered: "200", effects: 1, retry: 200, replay: true},
		idemtest.HoldExecution: {fault: idemtest.Fault{Delay: time.Millisecond}, whole: true, status: 200, body: `"id":"in_1"`,
			entered: "200", effects: 1, retry: 200, replay: true},
		idemtest.CutBody:    {status: 200, body: `{"id":"in_1"`, entered: "200", effects: 1, retry: 200, replay: true},
		idemtest.CutChunked: {status: 200, body: `{"id":"in_1"`, entered: "200", effects: 1, retry: 200, replay: true},
		idemtest.WrongLength: {status: 200, body: `"order":"1234"}}`, entered: "200", effects: 1, retry: 200, replay: true,
			check: func(t *testing.T, a answer, _ *idemtest.Server) {
				require.True(t, json.Valid([]byte(a.body)), "all of the body came")
			}},
		idemtest.Garbage:     {entered: "none", effects: 1, retry: 200, replay: true},
		idemtest.HugeHeaders: {entered: "200", effects: 1, retry: 200, replay: true},
		idemtest.EndlessBody: {fault: idemtest.Fault{Size: 1 << 20}, status: 200, body: strings.Repeat("x", 1<<20),
			entered: "200", effects: 1, retry: 200, replay: true},
		idemtest.BigBody: {fault: idemtest.Fault{Size: 2 << 20}, whole: true, status: 200, body: `"padding":"xxx`,
			entered: "200", effects: 1, retry: 200, replay: true,
			check: func(t *testing.T, a answer, _ *idemtest.Server) {
				require.Len(t, a.body, 2<<20)
				require.True(t, json.Valid([]byte(a.body)))
			}},
		idemtest.Empty200: {whole: true, status: 200, entered: "200", effects: 1, retry: 200, replay: true,
			check: func(t *testing.T, a answer, _ *idemtest.Server) { require.Empty(t, a.body) }},
		idemtest.Informational: {whole: true, status: 200, body: `"id":"in_1"`, entered: "200", effects: 1, retry: 200, replay: true},
		idemtest.Trailers: {whole: true, status: 200, body: `"id":"in_1"`, entered: "200", effects: 1, retry: 200, replay: true,
			check: func(t *testing.T, a answer, _ *idemtest.Server) {
				require.Len(t, a.trailer.Get("X-Body-Sha256"), 64)
			}},
		idemtest.TooMany: {fault: idemtest.Fault{RetryAfter: 1500 * time.Millisecond}, whole: true, status: 429, body: `"rate_limit"`,
			entered: "429", retry: 200, check: header("Retry-After", "2")},
		idemtest.TooManyBare:    {whole: true, status: 429, body: `"rate_limit"`, entered: "429", retry: 200, check: header("Retry-After", "")},
		idemtest.Error500Before: {whole: true, status: 500, body: `"api_error"`, entered: "500", retry: 200},
		idemtest.Error500After:  {whole: true, status: 500, body: `"api_error"`, entered: "500", effects: 1, retry: 500, replay: true},
		idemtest.Error500Stored: {whole: true, status: 500, body: `"api_error"`, entered: "500", retry: 500, replay: true},
		idemtest.Unavailable503: {whole: true, status: 503, body: `"api_error"`, entered: "503", retry: 200, check: header("Retry-After", "0")},
		idemtest.InFlightForced: {whole: true, status: 409, body: `"code":"idempotency_key_in_use"`, entered: "409", retry: 200,
			check: header("Stripe-Should-Retry", "true")},
		idemtest.MismatchForced: {whole: true, status: 400, body: `"type":"idempotency_error"`, entered: "400", retry: 200,
			check: header("Stripe-Should-Retry", "false")},
		idemtest.Unauthorized401:   {whole: true, status: 401, body: `"error"`, entered: "401", retry: 200},
		idemtest.Forbidden403:      {whole: true, status: 403, body: `"error"`, entered: "403", retry: 200},
		idemtest.RequestTimeout408: {whole: true, status: 408, body: `"error"`, entered: "408", retry: 200},
		idemtest.TooEarly425:       {whole: true, status: 425, body: `"error"`, entered: "425", retry: 200},
		idemtest.KeyExpired:        {whole: true, status: 200, body: `"id":"in_1"`, entered: "200", effects: 1, retry: 200, replay: true},
		idemtest.Proxy502Before:    {whole: true, status: 502, body: page, entered: "502", retry: 200},
		idemtest.Proxy502After:     {whole: true, status: 502, body: page, entered: "502", effects: 1, retry: 200, replay: true},
		idemtest.GatewayTime504:    {whole: true, status: 504, body: page, entered: "504", effects: 1, retry: 200, replay: true},
		idemtest.CaptivePortal: {whole: true, status: 200, body: page, entered: "200", retry: 200,
			check: header("Content-Type", "text/html; charset=utf-8")},
		idemtest.Redirect307: {whole: true, status: 307, entered: "307", retry: 200, check: header("Location", "/v1/invoices")},
		idemtest.Redirect307Other: {whole: true, status: 307, entered: "307", retry: 200,
			check: func(t *testing.T, a answer, s *idemtest.Server) {
				require.Equal(t, s.OtherURL()+"/v1/invoices", a.header.Get("Location"))
				require.NotEqual(t, s.URL(), s.OtherURL())
			}},
		idemtest.Redirect302: {whole: true, status: 302, entered: "302", retry: 200, check: header("Location", "/v1/invoices")},
		idemtest.Redirect303: {whole: true, status: 303, entered: "303", retry: 200, check: header("Location", "/v1/invoices")},
	}
	// These two make a second arrival themselves: they have tests of their own.
	apart := []idemtest.FaultKind{idemtest.Duplicate, idemtest.InFlightOverlap}
	for _, kind := range idemtest.FaultKinds() {
		r, ok := rows[kind]
		if !ok {
			require.Contains(t, apart, kind, "%s has no row", kind)
			continue
		}
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s := idemtest.Start(t)
			r.fault.Kind = kind
			script(t, s, r.fault)
			a := newAgent(t, s)

			first := a.create("key-1")
			require.Equal(t, r.whole, first.wholeReply(), "%v", first.err)
			require.Equal(t, r.status, first.status)
			require.Contains(t, first.body, r.body)
			if r.check != nil {
				r.check(t, first, s)
			}
			if r.whole && strings.HasPrefix(first.header.Get("Content-Type"), "application/json") {
				require.NotEmpty(t, first.header.Get("Request-Id"))
			}
			require.Len(t, s.Effects(), r.effects)
			require.Equal(t, r.effects == 1, kind.Acts())
			require.Len(t, s.Arrivals(), 1)
			arrival := last(t, s)
			require.Equal(t, kind, arrival.Fault)
			require.Equal(t, r.entered, arrival.Answer())
			require.Equal(t, "key-1", arrival.Key)
			if r.effects == 1 {
				require.Equal(t, s.Effects()[0].ID, arrival.EffectID)
				require.Equal(t, arrival.Seq, s.Effects()[0].Arrival)
			}
			require.Zero(t, s.Scripted())

			second := a.create("key-1")
			require.NoError(t, second.err)
			require.Equal(t, r.retry, second.status)
			require.Equal(t, r.replay, second.header.Get("Idempotent-Replayed") == "true")
			if r.replay && r.whole && first.status == second.status {
				require.Equal(t, first.body, second.body, "a replay is the first reply byte for byte")
				require.Equal(t, first.header.Get("Request-Id"), second.header.Get("Request-Id"))
			}
			if r.retry == 200 {
				require.Len(t, s.Effects(), 1)
			}
		})
	}
}

// StaleUnread strikes a kept-alive connection before anything is read: the
// ledger knows no method, and net/http sends again by itself what it may.
func TestStaleConnectionUnread(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	a := newAgent(t, s)
	script(t, s, idemtest.Fault{}, idemtest.Fault{Kind: idemtest.StaleUnread})
	require.Equal(t, 200, a.create("key-1").status)

	// A body that can be had again and a key: net/http resends, and the
	// caller sees nothing of it.
	req, err := http.NewRequestWithContext(ctx(t), "POST", s.URL()+"/v1/charges", bytes.NewReader([]byte(invoice)))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer sk_test_idem")
	req.Header.Set("Idempotency-Key", "key-2")
	writes := 0
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		WroteHeaders: func() { writes++ },
	}))
	require.Equal(t, 200, a.do(req).status)
	require.Equal(t, 2, writes)
	all := s.Arrivals()
	require.Len(t, all, 3)
	require.Equal(t, idemtest.StaleUnread, all[1].Fault)
	require.Empty(t, all[1].Method)
	require.Equal(t, "none", all[1].Answer())
	require.Equal(t, "key-2", all[2].Key)
	require.Len(t, s.Effects(), 2)

	// One that cannot be sent twice comes back as an error. A safe request on
	// such a connection is let through.
	script(t, s, idemtest.Fault{Kind: idemtest.StaleUnread})
	require.Equal(t, 200, a.send("GET", "/v1/charges", "", "").status)
	require.Equal(t, 1, s.Scripted())
	require.Error(t, a.create("key-3").err)
	require.Empty(t, last(t, s).Method)
	require.Len(t, s.Effects(), 2)
}

// StaleAfter executes what came on a kept-alive connection: net/http's own
// resend then meets the key check.
func TestStaleConnectionAfter(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	a := newAgent(t, s)
	script(t, s, idemtest.Fault{}, idemtest.Fault{Kind: idemtest.StaleAfter})
	require.Equal(t, 200, a.create("key-1").status)
	req, err := http.NewRequestWithContext(ctx(t), "POST", s.URL()+"/v1/charges", bytes.NewReader([]byte(invoice)))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer sk_test_idem")
	req.Header.Set("Idempotency-Key", "key-2")
	got := a.do(req)
	require.Equal(t, 200, got.status)
	require.Equal(t, "true", got.header.Get("Idempotent-Replayed"))
	require.Len(t, s.Arrivals(), 3)
	require.Len(t, s.EffectsOf("key-2"), 1)
}
