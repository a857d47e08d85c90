package idemtest_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/idem-go/idem/idemtest"
	"github.com/stretchr/testify/require"
)

// async sends without waiting for the reply.
func (a *agent) async(key string) <-chan answer {
	out := make(chan answer, 1)
	go func() { out <- a.create(key) }()
	return out
}

// A held reply: the effect and the key stand, the client hears nothing until
// the test lets go, and a second request under the key is replayed meanwhile.
func TestHoldReply(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	a := newAgent(t, s)
	script(t, s, idemtest.Fault{Kind: idemtest.HoldReply})
	first := a.async("key-1")
	require.NoError(t, s.WaitEffects(ctx(t), 1))
	require.Equal(t, "open", s.Arrivals()[0].Answer())
	require.Equal(t, "eff_1", s.Arrivals()[0].EffectID)
	require.Equal(t, sha(invoice), s.Arrivals()[0].BodyHash)
	second := a.create("key-1")
	require.Equal(t, "true", second.header.Get("Idempotent-Replayed"))
	require.Empty(t, first, "still held")
	s.Release()
	require.Equal(t, second.body, (<-first).body)
	require.Len(t, s.Effects(), 1)

	// Or a channel of the test's own.
	gate := make(chan struct{})
	script(t, s, idemtest.Fault{Kind: idemtest.SlowReply, Delay: time.Hour, Hold: gate})
	third := a.async("key-2")
	require.NoError(t, s.WaitEffects(ctx(t), 2))
	close(gate)
	require.Equal(t, 200, (<-third).status)
}

// An execution that is held keeps its key in use: a real overlap, a real 409.
func TestHoldExecution(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	a := newAgent(t, s)
	script(t, s, idemtest.Fault{Kind: idemtest.HoldExecution})
	first := a.async("key-1")
	require.NoError(t, s.WaitArrivals(ctx(t), 1))
	// The arrival is seen before the key is taken: ask until it is.
	var busy answer
	for busy.status != 409 {
		busy = a.send("POST", "/v1/invoices", "key-1", "")
		require.Contains(t, []int{400, 409}, busy.status, "nothing executes meanwhile")
	}
	e := errorOf(t, busy).Error
	require.Equal(t, "idempotency_key_in_use", e.Code)
	require.Equal(t, "true", busy.header.Get("Stripe-Should-Retry"))
	require.Equal(t, idemtest.DidWait, last(t, s).Did)
	require.Empty(t, s.Effects())
	require.Empty(t, s.Keys())
	s.Release()
	done := <-first
	require.Equal(t, 200, done.status)
	again := a.create("key-1")
	require.Equal(t, done.body, again.body)
	require.Len(t, s.Effects(), 1)
}

// An overlapping execution that the server makes itself: the client is told
// 409 by the key check, and finds the outcome under its key when it asks again.
func TestInFlightOverlap(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	a := newAgent(t, s)
	script(t, s, idemtest.Fault{Kind: idemtest.InFlightOverlap})
	require.Equal(t, "idempotency_key_in_use", errorOf(t, a.create("key-1")).Error.Code)
	require.Equal(t, 409, a.create("key-1").status, "still executing")
	require.Empty(t, s.Effects())
	s.Release()
	require.NoError(t, s.WaitEffects(ctx(t), 1))
	got := a.create("key-1")
	require.Equal(t, "true", got.header.Get("Idempotent-Replayed"))
	arrivals := s.Arrivals()
	require.Len(t, arrivals, 4)
	require.Equal(t, idemtest.InFlightOverlap, arrivals[0].Fault)
	require.Equal(t, "409", arrivals[0].Answer())
	require.True(t, arrivals[1].Duplicate)
	require.Equal(t, 2, s.Effects()[0].Arrival)
	require.Empty(t, s.Check())

	// Where nothing can overlap, the request is handled as usual: a key that
	// has its reply, a request that is refused, one without a key.
	for key, status := range map[string]int{"key-1": 200, "": 200} {
		script(t, s, idemtest.Fault{Kind: idemtest.InFlightOverlap})
		require.Equal(t, status, a.create(key).status)
	}
	script(t, s, idemtest.Fault{Kind: idemtest.InFlightOverlap})
	require.Equal(t, 400, a.send("POST", "/v1/invoices", "key-3", "amount=0").status)
}

// A network that duplicates: with a key one effect, without one two. The
// client sees the first reply.
func TestDuplicate(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	a := newAgent(t, s)
	twice := idemtest.Fault{Kind: idemtest.Duplicate}
	script(t, s, twice, twice)
	got := a.create("key-1")
	require.Equal(t, 200, got.status)
	require.Empty(t, got.header.Get("Idempotent-Replayed"))
	arrivals := s.Arrivals()
	require.Len(t, arrivals, 2)
	require.Equal(t, idemtest.DidExecute, arrivals[0].Did)
	require.Equal(t, idemtest.DidReplay, arrivals[1].Did)
	require.Equal(t, []bool{false, true}, []bool{arrivals[0].Duplicate, arrivals[1].Duplicate})
	require.Equal(t, arrivals[0].BodyHash, arrivals[1].BodyHash)
	require.Equal(t, idemtest.Duplicate, arrivals[1].Fault)
	require.Len(t, s.Effects(), 1)
	require.Equal(t, 200, a.create("").status)
	require.Len(t, s.EffectsOf(""), 2)
}

// A client that follows redirects carries the request to another host, or
// turns it into a GET that reads as success: the ledger shows both.
func TestFollowedRedirects(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	post := func(kind idemtest.FaultKind, key string) answer {
		script(t, s, idemtest.Fault{Kind: kind})
		a := newAgent(t, s)
		a.client.CheckRedirect = nil
		req, err := http.NewRequestWithContext(ctx(t), "POST", s.URL()+"/v1/invoices?"+invoice, nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer sk_test_idem")
		req.Header.Set("Idempotency-Key", key)
		return a.do(req)
	}
	require.Equal(t, 200, post(idemtest.Redirect307, "key-1").status)
	require.Len(t, s.EffectsOf("key-1"), 1)
	require.Equal(t, "main", last(t, s).Host)

	// net/http drops Authorization on the way to another host, yet the key
	// and the parameters get there. (Two ports of one name count as one host.)
	post(idemtest.Redirect307Other, "key-2")
	require.Equal(t, "other", last(t, s).Host)
	require.Equal(t, "POST", last(t, s).Method)
	require.Equal(t, "key-2", last(t, s).Key)

	for _, kind := range []idemtest.FaultKind{idemtest.Redirect302, idemtest.Redirect303} {
		before := len(s.Effects())
		got := post(kind, "key-"+kind.String())
		require.Equal(t, 200, got.status)
		require.Contains(t, got.body, `"object":"list"`)
		require.Equal(t, "GET", last(t, s).Method)
		require.Len(t, s.Effects(), before)
	}
}

// Faults strike neither safe requests nor the other listener.
func TestFaultsStrikeUnsafeRequestsOnly(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t, idemtest.WithRandomFaults(1, 1, idemtest.DropBefore))
	a := newAgent(t, s)
	require.Equal(t, 200, a.send("GET", "/v1/invoices", "", "").status)
	require.Error(t, a.create("key-1").err)
	a.base = s.OtherURL()
	require.Equal(t, 200, a.create("key-1").status)
	require.Equal(t, "other", last(t, s).Host)
	// Not even on a connection that is used again.
	script(t, s, idemtest.Fault{Kind: idemtest.StaleUnread})
	require.Equal(t, 200, a.create("key-1").status)
	require.Equal(t, 1, s.Scripted())
}

// Scripts by key come before scripts by path, these before the common queue,
// and that before chance.
func TestScriptPrecedence(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t, idemtest.WithRandomFaults(1, 1, idemtest.Forbidden403))
	a := newAgent(t, s)
	script(t, s, idemtest.Fault{Kind: idemtest.TooEarly425}, idemtest.Fault{Kind: idemtest.NoFault})
	require.NoError(t, s.ScriptPath("/v1/invoices", idemtest.Fault{Kind: idemtest.TooMany}))
	require.NoError(t, s.ScriptKey("key-1", idemtest.Fault{Kind: idemtest.Unavailable503}))
	require.Equal(t, 4, s.Scripted())
	require.Equal(t, 425, a.send("POST", "/v1/charges", "key-2", invoice).status)
	for _, want := range []int{503, 429, 200, 403} {
		require.Equal(t, want, a.create("key-1").status)
	}
	script(t, s, idemtest.Fault{Kind: idemtest.TooEarly425})
	s.ClearScript()
	require.Equal(t, 403, a.create("key-1").status)
}

// Chance follows from seed and arrival number alone.
func TestRandomFaultsRepeat(t *testing.T) {
	t.Parallel()
	kinds := []idemtest.FaultKind{idemtest.TooMany, idemtest.DropBefore, idemtest.Error500Before}
	plan := idemtest.RandomFaults(60, 7, 0.5, kinds...)
	require.Equal(t, plan, idemtest.RandomFaults(60, 7, 0.5, kinds...))
	require.NotEqual(t, plan, idemtest.RandomFaults(60, 8, 0.5, kinds...))
	s := idemtest.Start(t, idemtest.WithRandomFaults(7, 0.5, kinds...))
	a := newAgent(t, s)
	struck := 0
	for range plan {
		a.create("key-1")
	}
	for i, arrival := range s.Arrivals() {
		require.Equal(t, plan[i].Kind, arrival.Fault)
		if plan[i].Kind != idemtest.NoFault {
			struck++
		}
	}
	require.Greater(t, struck, 15)
	require.Less(t, struck, 45)
	require.Empty(t, idemtest.RandomFaults(5, 1, 7))
}

// Every kind can be drawn by chance, and the server keeps its promise under
// all of them together: in the end one effect a key.
func TestAllFaultsAtRandom(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t, idemtest.WithRandomFaults(11, 0.7))
	a := newAgent(t, s)
	keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	done := make(chan struct{})
	for _, key := range keys {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 12 {
				sendLimited(a, key)
			}
		}()
	}
	for range keys {
		<-done
	}
	require.Empty(t, s.Check())
	for _, key := range keys {
		require.LessOrEqual(t, len(s.EffectsOf(key)), 1)
	}
}

// sendLimited sends once and reads at most a megabyte, as a client with a
// limit. What it meets is of no interest: the ledger is.
func sendLimited(a *agent, key string) {
	req, err := http.NewRequest("POST", a.base+"/v1/invoices?"+invoice, nil)
	if err != nil {
		return
	}
	req.Header.Set("Authorization", "Bearer "+a.secret)
	req.Header.Set("Idempotency-Key", key)
	resp, err := a.client.Do(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	_ = resp.Body.Close()
}
