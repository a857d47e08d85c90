package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/server"
	"github.com/stretchr/testify/require"
)

// Close waits until what is executed is recorded, refuses what comes after, and
// leaves no goroutine and no open file.
func TestClose(t *testing.T) {
	// Not parallel: it counts what this process has open.
	path := t.TempDir() + "/keys.db"
	s, err := server.Open(path)
	require.NoError(t, err)
	require.NotZero(t, openFiles(t, path))
	h := newGate()
	web := httptest.NewServer(wrap(t, s, h))
	defer web.Close()
	defer h.open()
	var first got
	var wg sync.WaitGroup
	req := newRequest(t, http.MethodPost, web.URL, "k", "{}")
	wg.Go(func() { first, _ = try(req) })
	<-h.began
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	ctx := testCtx(t)
	for post(t, web.URL, "", "{}").status != 503 { // a request without a key executes nothing
		require.NoError(t, ctx.Err(), "Close refuses no request")
	}
	requireProblem(t, post(t, web.URL, "k-2", "{}"), 503, server.CodeUnavailable, server.StatusRefused)
	select {
	case <-closed:
		t.Fatal("Close did not wait for the execution")
	default:
	}
	h.open()
	wg.Wait()
	require.NoError(t, <-closed)
	requireFirst(t, first)
	require.NoError(t, s.Close(), "once more")
	require.Error(t, s.Resolve(testCtx(t), server.Identity{Key: "k"}, idem.Resolution{State: idem.Failed}))
	for _, err := range s.Uncertain(testCtx(t)) {
		require.Error(t, err)
	}
	require.Zero(t, openFiles(t, path))
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	require.NotContains(t, string(stacks), "server.(*Store)")

	again, err := server.Open(path)
	require.NoError(t, err)
	require.NoError(t, again.Close())
}

// openFiles counts this process's descriptors of files whose names begin so.
func openFiles(t *testing.T, path string) (n int) {
	t.Helper()
	links, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Logf("no /proc/self/fd here (%v): open files are not counted", err)
		return 0
	}
	for _, link := range links {
		if to, err := os.Readlink("/proc/self/fd/" + link.Name()); err == nil && strings.HasPrefix(to, path) {
			n++
		}
	}
	return n
}

// watcher is an Observer that keeps what it is told.
type watcher struct {
	mu     sync.Mutex
	starts []idem.Event
	ends   []idem.Event
}

type watchKey struct{}

func (w *watcher) Start(ctx context.Context, e idem.Event) context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.starts = append(w.starts, e)
	depth, _ := ctx.Value(watchKey{}).(int)
	return context.WithValue(ctx, watchKey{}, depth+1)
}

func (w *watcher) End(ctx context.Context, e idem.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.Note = map[int]string{1: "request", 2: "execution"}[ctx.Value(watchKey{}).(int)]
	w.ends = append(w.ends, e)
}

// The Observer is told of each request and of each execution within it, under its
// own context, which the handler has too; and everything is counted.
func TestObserverAndStats(t *testing.T) {
	t.Parallel()
	s, ob := newStore(t), &watcher{}
	h := &moody{}
	url := serveQuietly(t, byAccount(t, s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, 2, r.Context().Value(watchKey{}))
		h.ServeHTTP(w, r)
	}), server.Observer(ob)))
	account := []string{"X-Account", "acme"}
	post(t, url, "k", "{}", account...)
	post(t, url, "k", "{}", account...)
	post(t, url, "k", "[]", account...)
	_, err := try(newRequest(t, http.MethodPost, url, "k-2", "{}", append(account, "X-Mood", "panic")...))
	require.Error(t, err)
	post(t, url, "k-2", "{}", account...)
	post(t, url, "", "{}", account...)

	ob.mu.Lock()
	defer ob.mu.Unlock()
	require.Len(t, ob.starts, len(ob.ends))
	type line struct {
		note, reason string
		attempt      int
		state        idem.State
		status       int
		failed       bool
	}
	var lines []line
	for _, e := range ob.ends {
		require.Equal(t, "http", e.Operation.Name)
		require.Equal(t, "acme", e.Operation.Scope)
		require.False(t, e.At.IsZero())
		require.Positive(t, e.Took)
		lines = append(lines, line{e.Note, e.Reason, e.Attempt, e.State, e.Status, e.Err != nil})
	}
	require.Equal(t, []line{
		{"execution", server.StatusExecuted, 1, idem.Succeeded, 201, false},
		{"request", server.StatusExecuted, 0, idem.Succeeded, 201, false},
		{"request", server.StatusReplayed, 0, idem.Succeeded, 201, false},
		{"request", server.StatusMismatch, 0, idem.Failed, 409, false},
		{"execution", server.StatusUncertain, 1, idem.InDoubt, 0, true},
		{"request", server.StatusUncertain, 0, idem.InDoubt, 0, true},
		{"request", server.StatusUncertain, 0, idem.InDoubt, 409, false},
	}, lines)
	require.Equal(t, server.Stats{Executed: 1, Replayed: 1, Mismatch: 1, Uncertain: 2, Refused: 1}, s.Stats())
}
