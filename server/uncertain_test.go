package server_test

import (
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/server"
	"github.com/stretchr/testify/require"
)

// quiet keeps expected alarms out of the test's output.
func quiet() server.Option { return server.Logger(slog.New(slog.DiscardHandler)) }

// serveQuietly is serveHandler without the stacks that net/http prints of panics.
func serveQuietly(t testing.TB, h http.Handler) string {
	t.Helper()
	web := httptest.NewUnstartedServer(h)
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.Start()
	t.Cleanup(web.Close)
	return web.URL
}

// moody is a handler that panics, leaves or works, as the request asks.
type moody struct{ counter }

func (h *moody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Header.Get("X-Mood") {
	case "panic":
		h.runs.Add(1)
		io.WriteString(w, "half a rep")
		panic("of the handler")
	case "abort":
		h.runs.Add(1)
		panic(http.ErrAbortHandler)
	case "leave":
		h.runs.Add(1)
		runtime.Goexit()
	}
	h.counter.ServeHTTP(w, r)
}

// A handler that panics leaves its key uncertain: it is not run again by itself,
// whoever asks how often, and the panic goes on to whoever catches it, who is told
// what became of the key.
func TestPanicLeavesTheKeyUncertain(t *testing.T) {
	t.Parallel()
	for _, mood := range []string{"panic", "abort", "leave"} {
		t.Run(mood, func(t *testing.T) {
			t.Parallel()
			s, h := newStore(t), &moody{}
			once := wrap(t, s, h)
			url := serveQuietly(t, once)
			_, err := try(newRequest(t, http.MethodPost, url, "k", "{}", "X-Mood", mood))
			require.Error(t, err, "the connection ends, as net/http has it")
			for range 3 {
				requireProblem(t, post(t, url, "k", "{}"), 409, server.CodeUncertain, server.StatusUncertain)
				requireProblem(t, post(t, url, "k", "[]"), 409, server.CodeKeyMismatch, server.StatusMismatch)
			}
			require.EqualValues(t, 1, h.runs.Load())
			require.EqualValues(t, 4, s.Stats().Uncertain)
		})
	}
}

// Whoever catches a handler's panic answers with the status that is known.
func TestPanicIsNotSwallowed(t *testing.T) {
	t.Parallel()
	once := wrap(t, newStore(t), &moody{})
	url := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			require.Equal(t, "of the handler", recover())
			w.WriteHeader(500)
		}()
		once.ServeHTTP(w, r)
	}))
	g := post(t, url, "k", "{}", "X-Mood", "panic")
	require.Equal(t, 500, g.status)
	require.Equal(t, server.StatusUncertain, g.idem())
}

// By option an uncertain key runs again, for the same payload only.
func TestRunAgain(t *testing.T) {
	t.Parallel()
	s, h := newStore(t), &moody{}
	url := serveQuietly(t, wrap(t, s, h, server.RunAgain()))
	for range 3 {
		_, err := try(newRequest(t, http.MethodPost, url, "k", "{}", "X-Mood", "panic"))
		require.Error(t, err)
	}
	require.Equal(t, server.StatusMismatch, post(t, url, "k", "[]").idem())
	first := post(t, url, "k", "{}")
	requireFirst(t, first)
	requireReplay(t, first, post(t, url, "k", "{}"))
	require.EqualValues(t, 4, h.runs.Load())
}

// A person who found out settles an uncertain key: it happened, and its reply is
// known or not, or it did not happen and the key is free.
func TestResolve(t *testing.T) {
	t.Parallel()
	s, h := newStore(t), &moody{}
	url := serveQuietly(t, byAccount(t, s, h, server.PerRoute(func(*http.Request) string { return "charge" })))
	ctx := testCtx(t)
	for _, key := range []string{"with", "without", "never", "open"} {
		_, err := try(newRequest(t, http.MethodPost, url+"/v1/charges", key, "{}", "X-Account", "acme", "X-Mood", "panic"))
		require.Error(t, err)
	}
	var listed []string
	id := func(key string) server.Identity {
		return server.Identity{Route: "charge", Scope: "acme", Key: key}
	}
	for u, err := range s.Uncertain(ctx) {
		require.NoError(t, err)
		require.Equal(t, id(u.Key), u.Identity)
		require.Equal(t, "POST /v1/charges", u.Request)
		require.Equal(t, "the handler panicked", u.Why)
		require.WithinDuration(t, time.Now(), u.Begun, time.Minute)
		listed = append(listed, u.Key)
	}
	require.Equal(t, []string{"with", "without", "never", "open"}, listed)

	require.NoError(t, s.Resolve(ctx, id("with"), idem.Resolution{State: idem.Succeeded, Result: []byte(`{"id":"ch_1"}`), Note: "found by ann"}))
	require.NoError(t, s.Resolve(ctx, id("without"), idem.Resolution{State: idem.Succeeded}))
	require.NoError(t, s.Resolve(ctx, id("never"), idem.Resolution{State: idem.Failed, Note: "not in the ledger"}))
	require.NoError(t, s.Resolve(ctx, id("open"), idem.Resolution{State: idem.InDoubt, Note: "asked the bank"}))

	g := post(t, url+"/v1/charges", "with", "{}", "X-Account", "acme")
	require.Equal(t, got{200, g.header, nil, `{"id":"ch_1"}`}, g)
	require.Equal(t, "application/json", g.header.Get("Content-Type"))
	require.True(t, g.replayed())
	g = post(t, url+"/v1/charges", "without", "{}", "X-Account", "acme")
	require.Equal(t, 204, g.status)
	require.True(t, g.replayed())
	requireFirst(t, post(t, url+"/v1/charges", "never", "{}", "X-Account", "acme"))
	require.Equal(t, server.StatusUncertain, post(t, url+"/v1/charges", "open", "{}", "X-Account", "acme").idem())

	for key, want := range map[string]string{"with": "no such uncertain key", "unseen": "no such uncertain key"} {
		require.ErrorContains(t, s.Resolve(ctx, id(key), idem.Resolution{State: idem.Failed}), want)
	}
	require.Error(t, s.Resolve(ctx, server.Identity{Scope: "zeta", Route: "charge", Key: "open"}, idem.Resolution{State: idem.Failed}))
	require.Error(t, s.Resolve(ctx, id("open"), idem.Resolution{State: idem.Pending}))
	require.Error(t, s.Resolve(ctx, id("open"), idem.Resolution{State: idem.Failed, Result: []byte("1")}))
}

// A key that is being executed is not resolved from under its handler.
func TestResolveWhileExecuting(t *testing.T) {
	t.Parallel()
	s, h := newStore(t), newGate()
	url := serve(t, s, h.ServeHTTP)
	t.Cleanup(h.open)
	var wg sync.WaitGroup
	req := newRequest(t, http.MethodPost, url, "k", "{}")
	wg.Go(func() { try(req) })
	<-h.began
	require.ErrorContains(t, s.Resolve(testCtx(t), server.Identity{Key: "k"}, idem.Resolution{State: idem.Failed}), "being executed")
	for range s.Uncertain(testCtx(t)) {
		t.Fatal("a key that is being executed is not uncertain")
	}
	h.open()
	wg.Wait()
	require.True(t, post(t, url, "k", "{}").replayed())
}

// A process that dies in the middle leaves its key uncertain for every other, also
// for one that had the store open all the time; while it lives the key is in use.
func TestAProcessDiesInTheMiddle(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/keys.db"
	s, err := server.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	h := &counter{}
	url := serve(t, s, h.ServeHTTP)
	waiting := serve(t, s, h.ServeHTTP, server.Wait(time.Minute))

	child, remote := startChild(t, "serve", "IDEM_PATH="+path, "IDEM_HOLD=1")
	lost := make(chan error, 1)
	go func() { _, err := try(newRequest(t, http.MethodPost, remote, "k", "{}")); lost <- err }()
	child.await(t, "holding")
	requireProblem(t, post(t, url, "k", "{}"), 409, server.CodeKeyInUse, server.StatusInFlight)
	requireProblem(t, post(t, url, "k", "[]"), 409, server.CodeKeyMismatch, server.StatusMismatch)
	require.ErrorContains(t, s.Resolve(testCtx(t), server.Identity{Key: "k"}, idem.Resolution{State: idem.Failed}), "living process")

	waited := make(chan got, 1)
	go func() { g, _ := try(newRequest(t, http.MethodPost, waiting, "k", "{}")); waited <- g }()
	child.kill(t)
	require.Error(t, <-lost)
	requireProblem(t, <-waited, 409, server.CodeUncertain, server.StatusUncertain)
	for range 2 {
		requireProblem(t, post(t, url, "k", "{}"), 409, server.CodeUncertain, server.StatusUncertain)
	}
	require.Zero(t, h.runs.Load())
	require.NoError(t, s.Resolve(testCtx(t), server.Identity{Key: "k"}, idem.Resolution{State: idem.Failed}))
	requireFirst(t, post(t, url, "k", "{}"))
}

// Several processes may serve one store: each sees what the other executed, and
// one that waits gets the other's reply.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/keys.db"
	s, err := server.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	h := newGate()
	url := serve(t, s, h.ServeHTTP)
	t.Cleanup(h.open)
	_, remote := startChild(t, "serve", "IDEM_PATH="+path, "IDEM_WAIT=1m")
	var wg sync.WaitGroup
	var first, second got
	here, there := newRequest(t, http.MethodPost, url, "k", "{}"), newRequest(t, http.MethodPost, remote, "k", "{}")
	wg.Go(func() { first, _ = try(here) })
	<-h.began
	wg.Go(func() { second, _ = try(there) })
	h.open()
	wg.Wait()
	requireFirst(t, first)
	requireReplay(t, first, second)
	theirs := post(t, remote, "k-2", "{}")
	requireFirst(t, theirs)
	requireReplay(t, theirs, post(t, url, "k-2", "{}"))
}
