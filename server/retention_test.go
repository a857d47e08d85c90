package server_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/server"
	"github.com/stretchr/testify/require"
)

// A key is honoured for its retention, counted from the end of the execution and
// not from its beginning; then it executes anew, for any payload.
func TestKeyExpires(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, s *server.Store) {
		clock := setClock(s)
		h := &counter{}
		url := serve(t, s, func(w http.ResponseWriter, r *http.Request) {
			clock.advance(5 * time.Hour) // it takes long
			h.ServeHTTP(w, r)
		})
		first := post(t, url, "k", "{}")
		requireFirst(t, first)
		clock.advance(defaultRetention - time.Second)
		requireReplay(t, first, post(t, url, "k", "{}"))
		require.Equal(t, server.StatusMismatch, post(t, url, "k", "[]").idem())
		clock.advance(time.Second)
		second := post(t, url, "k", "[]")
		requireFirst(t, second)
		require.NotEqual(t, first.body, second.body)
		clock.advance(time.Hour)
		requireReplay(t, second, post(t, url, "k", "[]"))
		require.Equal(t, server.StatusMismatch, post(t, url, "k", "{}").idem())
		require.EqualValues(t, 2, h.runs.Load())
	})
}

// Each key keeps the retention that it was begun under.
func TestRetentionIsPromisedToTheKey(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, s *server.Store) {
		clock := setClock(s)
		h := &counter{}
		long := serve(t, s, h.ServeHTTP, server.Retention(48*time.Hour))
		short := serve(t, s, h.ServeHTTP, server.Retention(time.Hour))
		first := post(t, long, "long", "{}")
		requireFirst(t, first)
		requireFirst(t, post(t, short, "short", "{}"))
		clock.advance(2 * time.Hour)
		require.NoError(t, s.Prune(testCtx(t)))
		requireReplay(t, first, post(t, short, "long", "{}"))
		requireFirst(t, post(t, long, "short", "{}"))
		clock.advance(44 * time.Hour)
		require.NoError(t, s.Prune(testCtx(t)))
		requireReplay(t, first, post(t, short, "long", "{}"))
	})
}

// The record of a key that executes anew says so: it names the one before, also
// when that one's reply has been pruned already.
func TestTheNewRecordNamesTheOldOne(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/keys.db"
	s, err := server.Open(path)
	require.NoError(t, err)
	clock := setClock(s)
	h := &counter{}
	url := serve(t, s, h.ServeHTTP)
	requireFirst(t, post(t, url, "k", "1"))
	clock.advance(defaultRetention + time.Second)
	require.NoError(t, s.Prune(testCtx(t)))
	requireFirst(t, post(t, url, "k", "2"))
	clock.advance(defaultRetention)
	requireFirst(t, post(t, url, "k", "3"))
	require.NoError(t, s.Close())

	j, err := idem.OpenJournal(path)
	require.NoError(t, err)
	defer j.Close()
	page, _, err := j.Page(testCtx(t), idem.Filter{ID: "k"}, "", 10)
	require.NoError(t, err)
	previous := ""
	for _, rec := range page {
		require.Equal(t, previous, rec.Previous)
		previous = rec.Key
	}
	require.Len(t, page, 3)
	require.Nil(t, page[0].Changes[len(page[0].Changes)-1].Reply, "the first reply is pruned")
}

// Pruning forgets what has expired and nothing else: keys that are executed or
// uncertain stay for ever.
func TestOpenKeysNeverExpire(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	clock := setClock(s)
	h, slow := &moody{}, newGate()
	url := serveQuietly(t, wrap(t, s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Slow") != "" {
			slow.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})))
	t.Cleanup(slow.open)
	_, err := try(newRequest(t, http.MethodPost, url, "uncertain", "{}", "X-Mood", "panic"))
	require.Error(t, err)
	requireFirst(t, post(t, url, "done", "{}"))
	var wg sync.WaitGroup
	var late got
	req := newRequest(t, http.MethodPost, url, "executing", "{}", "X-Slow", "1")
	wg.Go(func() { late, _ = try(req) })
	<-slow.began
	for range 3 {
		clock.advance(10 * defaultRetention)
		require.NoError(t, s.Prune(testCtx(t)))
	}
	requireProblem(t, post(t, url, "uncertain", "{}"), 409, server.CodeUncertain, server.StatusUncertain)
	requireProblem(t, post(t, url, "executing", "{}"), 409, server.CodeKeyInUse, server.StatusInFlight)
	requireFirst(t, post(t, url, "done", "{}"))
	slow.open()
	wg.Wait()
	requireFirst(t, late)
	clock.advance(defaultRetention - time.Second)
	require.NoError(t, s.Prune(testCtx(t)))
	requireReplay(t, late, post(t, url, "executing", "{}"))
}

// TestPruningDoesNotStallRequests tests that requests are executed between two steps
// of Prune. The test stops Prune between two steps, so that no request depends on how
// long a step takes.
func TestPruningDoesNotStallRequests(t *testing.T) {
	t.Parallel()
	t.Run("journal", func(t *testing.T) {
		t.Parallel()
		j, err := idem.OpenJournal(t.TempDir() + "/keys.db")
		require.NoError(t, err)
		p := newPause()
		s, err := server.NewStore(&prunedInSteps{Journal: j, between: p.step})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		prunedWhileServing(t, s, p, func() {})
	})
	t.Run("same transaction", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "shop.db")
		plain := openSQL(t, "sqlite3", path)
		p := newPause()
		// The first statement of Prune may save the clock. The next one removes the
		// first 128 keys, so the third one comes between two steps.
		statements := 0
		s, err := server.SameTransaction((&hooked{path, func(when, call string) error {
			if when == "before" && call == "exec" && p.armed.Load() {
				if statements++; statements == 3 {
					p.step()
				}
			}
			return nil
		}}).open(t), server.SQLite)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		prunedWhileServing(t, s, p, func() {
			var left int
			require.NoError(t, plain.QueryRow("SELECT count(*) FROM idem_keys").Scan(&left))
			require.Positive(t, left)
			require.Less(t, left, keysToPrune)
		})
	})
}

const keysToPrune = 300

// prunedWhileServing prunes keys, and executes requests while Prune is stopped between
// two steps and until Prune ends.
func prunedWhileServing(t *testing.T, s *server.Store, p *pause, check func()) {
	t.Cleanup(p.resume)
	clock := setClock(s)
	handler := wrap(t, s, &counter{})
	fill(t, handler, keysToPrune)
	clock.advance(3 * defaultRetention)
	url := serveHandler(t, handler)
	p.armed.Store(true)
	pruned := make(chan error, 1)
	go func() { pruned <- s.Prune(testCtx(t)) }()
	select {
	case <-p.reached:
	case err := <-pruned:
		require.FailNow(t, "Prune ended in one step", "%v", err)
	}
	p.armed.Store(false)
	check()
	next := 0
	for ; next < 10; next++ {
		requireFirst(t, post(t, url, fmt.Sprint("new-", next), "{}"))
	}
	p.resume()
	for {
		select {
		case err := <-pruned:
			require.NoError(t, err)
			requireFirst(t, post(t, url, "old-0", "[]"))
			return
		default:
			requireFirst(t, post(t, url, fmt.Sprint("new-", next), "{}"))
			next++
		}
	}
}

// pause stops a goroutine of a store until the test releases it.
type pause struct {
	armed            atomic.Bool
	reached, release chan struct{}
	once             sync.Once
}

func newPause() *pause { return &pause{reached: make(chan struct{}), release: make(chan struct{})} }

// step stops its caller. It is called once.
func (p *pause) step() {
	close(p.reached)
	<-p.release
}

// resume lets the stopped goroutine go on.
func (p *pause) resume() { p.once.Do(func() { close(p.release) }) }

// prunedInSteps is a journal whose first Prune ends as at the end of its time, with
// work left. It calls between before the second Prune.
type prunedInSteps struct {
	idem.Journal
	between func()
	calls   atomic.Int64
}

func (j *prunedInSteps) Prune(ctx context.Context, outcomes, identities time.Time) (int, error) {
	call := j.calls.Add(1)
	if call == 2 {
		j.between()
	}
	n, err := j.Journal.Prune(ctx, outcomes, identities)
	if call == 1 && err == nil {
		err = context.DeadlineExceeded
	}
	return n, err
}

// fill begins keys without a socket between.
func fill(t *testing.T, h http.Handler, n int) {
	var wg sync.WaitGroup
	for worker := range 20 {
		wg.Go(func() {
			for i := worker; i < n; i += 20 {
				w := &discard{header: http.Header{}}
				h.ServeHTTP(w, newRequest(t, http.MethodPost, "http://x/", fmt.Sprint("old-", i), "{}"))
			}
		})
	}
	wg.Wait()
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// Jumps of the wall clock are no time that went by: forward ones expire nothing,
// backward ones keep nothing longer, and the next process knows of them.
func TestTheWallClockJumps(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]time.Duration{"forward": 100 * defaultRetention, "backward": -100 * defaultRetention} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := t.TempDir() + "/keys.db"
			s, err := server.Open(path)
			require.NoError(t, err)
			clock := setClock(s)
			h := &counter{}
			url := serve(t, s, h.ServeHTTP)
			first := post(t, url, "k", "{}")
			requireFirst(t, first)
			clock.jump(jump)
			requireReplay(t, first, post(t, url, "k", "{}"))
			second := post(t, url, "k-2", "{}")
			requireFirst(t, second)
			require.NoError(t, s.Close())

			s, err = server.Open(path)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			clock.give(s)
			url = serve(t, s, h.ServeHTTP)
			requireReplay(t, first, post(t, url, "k", "{}"))
			requireReplay(t, second, post(t, url, "k-2", "{}"))
			clock.advance(defaultRetention)
			requireFirst(t, post(t, url, "k", "{}"))
			requireFirst(t, post(t, url, "k-2", "{}"))
		})
	}
}

// Pruning ends with its context, and a store that was closed prunes nothing.
func TestPruneEnds(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	serve(t, s, (&counter{}).ServeHTTP)
	ctx, cancel := context.WithCancel(testCtx(t))
	cancel()
	require.ErrorIs(t, s.Prune(ctx), context.Canceled)
	require.NoError(t, s.Close())
	require.Error(t, s.Prune(testCtx(t)))
}
