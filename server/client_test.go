package server_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/server"
	"github.com/stretchr/testify/require"
)

// quick tries often and hardly waits.
func quick() idem.Policy {
	return idem.Policy{Contract: idem.Standard(), Retry: idem.Retry{
		MaxAttempts: 8, MinBackoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond, AttemptTimeout: 20 * time.Second,
	}}
}

func newClient(t testing.TB, opts ...idem.Option) *idem.Client {
	t.Helper()
	c, err := idem.Open(filepath.Join(t.TempDir(), "agent.db"), append([]idem.Option{idem.WithPolicy("*", quick())}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func operation(id string) idem.Operation { return idem.Operation{Name: "charge", ID: id} }

func charging(t testing.TB, url, body string) *http.Request {
	t.Helper()
	req := newRequest(t, http.MethodPost, url, "", body)
	req.Header.Set("Accept", "application/json")
	return req
}

// The project's client and this middleware together: whatever happens to a request
// on its way there or back, it makes one effect, and the client gets its reply.
func TestClientThroughEveryFault(t *testing.T) {
	t.Parallel()
	for _, f := range allFaults() {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			forEachStore(t, func(t *testing.T, s *server.Store) {
				h := &counter{}
				p := newFaulty(t, serve(t, s, h.ServeHTTP))
				c := newClient(t)
				for _, plan := range [][]fault{{f}, {f, f}, {dropAfter, f}, {dropBefore, f, dropAfter}} {
					p.plan(plan...)
					runs := h.runs.Load()
					resp, err := c.Do(charging(t, p.url, `{"cents":5}`), idem.Operation{Name: "charge"})
					require.NoError(t, err, "%v", plan)
					body, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					require.Equal(t, 201, resp.StatusCode, string(body))
					p.later.Wait()
					require.Equal(t, runs+1, h.runs.Load(), "%v", plan)
					require.Contains(t, string(body), `"got":"{\"cents\":5}"`)
				}
			})
		})
	}
}

// A refusal that the middleware did not make proves nothing: after a lost reply a
// proxy's 4xx leaves the client in doubt, and never says that nothing happened.
func TestClientTrustsNoProxy(t *testing.T) {
	t.Parallel()
	h := &counter{}
	p := newFaulty(t, serve(t, newStore(t), h.ServeHTTP))
	policy := quick()
	policy.Retry.MaxAttempts = 2
	c := newClient(t, idem.WithPolicy("*", policy))
	for _, f := range []fault{badRequest, forbidden, notFound, tooMany, conflict} {
		p.plan(dropAfter, f)
		runs := h.runs.Load()
		_, err := c.Do(charging(t, p.url, "{}"), operation(string(f)))
		require.ErrorIs(t, err, idem.ErrInDoubt, f)
		resp, err := c.Do(charging(t, p.url, "{}"), operation(string(f)))
		require.NoError(t, err)
		require.Equal(t, 201, resp.StatusCode)
		require.Equal(t, runs+1, h.runs.Load())
	}
}

// What the middleware says, the client understands without guessing.
func TestClientReadsTheServersWord(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	moods := &moody{}
	effects := &counter{}
	p := newFaulty(t, serveQuietly(t, wrap(t, s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch body, _ := io.ReadAll(r.Body); string(body) {
		case `"invalid"`:
			server.Forget(r.Context())
			http.Error(w, "no", http.StatusUnprocessableEntity)
		case `"refused"`:
			effects.runs.Add(1)
			http.Error(w, "declined", http.StatusPaymentRequired)
		case `"busy"`:
			server.Forget(r.Context())
			w.WriteHeader(http.StatusServiceUnavailable)
		case `"broken"`:
			effects.runs.Add(1)
			http.Error(w, "half-way", http.StatusInternalServerError)
		case `"long"`:
			effects.runs.Add(1)
			io.WriteString(w, strings.Repeat("x", 2000))
		case `"panic"`:
			effects.runs.Add(1)
			panic(http.ErrAbortHandler)
		default:
			moods.ServeHTTP(w, r)
		}
	}), server.MaxReply(1000), server.MaxBody(5000))))
	c := newClient(t)
	state := func(id string) idem.State {
		for in, err := range c.Intents(testCtx(t), idem.Filter{ID: id}) {
			require.NoError(t, err)
			return in.State()
		}
		return idem.Pending
	}
	for i, row := range []struct {
		body  string
		plan  []fault
		state idem.State
		runs  int64 // effects
	}{
		{`"invalid"`, nil, idem.Failed, 0},
		{`"` + strings.Repeat("x", 6000) + `"`, nil, idem.Failed, 0},
		{`"refused"`, nil, idem.Failed, 1},
		{`"busy"`, nil, idem.Failed, 0},
		{`"broken"`, nil, idem.InDoubt, 1},
		{`"long"`, nil, idem.InDoubt, 1},
		{`"panic"`, nil, idem.InDoubt, 1},
		// After a lost reply a refusal still settles it where it is the kept one.
		{`"refused"`, []fault{dropAfter}, idem.Failed, 1},
	} {
		p.plan(row.plan...)
		before := effects.runs.Load()
		id := fmt.Sprint("op-", i)
		resp, err := c.Do(charging(t, p.url, row.body), operation(id))
		require.Equal(t, row.state, state(id), "%.20s: %v", row.body, err)
		if row.state == idem.InDoubt {
			require.ErrorIs(t, err, idem.ErrInDoubt)
		} else {
			require.NoError(t, err)
			require.GreaterOrEqual(t, resp.StatusCode, 400)
		}
		require.Equal(t, before+row.runs, effects.runs.Load(), "%.20s", row.body)
	}
}

// Bytes that are not those the client sent arrived under its key, once: the server
// refuses the client's own, and the client says so loudly and not that nothing
// happened.
func TestClientMeetsAMismatch(t *testing.T) {
	t.Parallel()
	h := &counter{}
	url := serve(t, newStore(t), h.ServeHTTP)
	c := newClient(t)
	in, err := c.Begin(testCtx(t), operation("1"), charging(t, url, `{"cents":5}`))
	require.NoError(t, err)
	requireFirst(t, post(t, url, in.Key(), `{"cents":500}`))
	_, err = in.Do(testCtx(t))
	require.ErrorIs(t, err, idem.ErrInDoubt)
	require.EqualValues(t, 1, h.runs.Load())
}

// inFlightSeen is an Observer that closes a channel at the first reply that says that
// a key is being executed.
type inFlightSeen struct {
	once sync.Once
	seen chan struct{}
}

func (o *inFlightSeen) Start(ctx context.Context, _ idem.Event) context.Context { return ctx }

func (o *inFlightSeen) End(_ context.Context, e idem.Event) {
	if e.Reason == server.StatusInFlight {
		o.once.Do(func() { close(o.seen) })
	}
}

// While one attempt is executed, the client's next waits for it and gets its reply.
func TestClientWaitsForItsOwnAttempt(t *testing.T) {
	t.Parallel()
	h := newGate()
	ob := &inFlightSeen{seen: make(chan struct{})}
	url := serve(t, newStore(t), h.ServeHTTP, server.Observer(ob))
	t.Cleanup(h.open)
	policy := quick()
	policy.Retry.MaxAttempts = 100
	c := newClient(t, idem.WithPolicy("*", policy))
	in, err := c.Begin(testCtx(t), operation("1"), charging(t, url, `{}`))
	require.NoError(t, err)
	stray := make(chan got, 1)
	go func() {
		g, _ := try(newRequest(t, http.MethodPost, url, in.Key(), `{}`))
		stray <- g
	}()
	<-h.began
	done := make(chan error, 1)
	go func() {
		_, err := in.Do(testCtx(t))
		done <- err
	}()
	select {
	case <-ob.seen:
	case err := <-done:
		require.FailNow(t, "the client did not wait", "%v", err)
	}
	h.open()
	require.NoError(t, <-done)
	require.Equal(t, string(in.Outcome()), (<-stray).body)
	require.True(t, in.Replayed())
	require.EqualValues(t, 1, h.runs.Load())
}
