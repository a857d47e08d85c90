package server_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/journal"
	"github.com/idem-go/idem/server"
)

// steps is a journal that tells of each write before and after it, and that fails
// where it is told to.
type steps struct {
	idem.Journal
	before, after func(call string) error
}

func (j *steps) Begin(ctx context.Context, r *journal.Record, g journal.Checks) (journal.Conflict, *journal.Record, error) {
	if err := j.before("begin"); err != nil {
		return journal.NoConflict, nil, err
	}
	o, rec, err := j.Journal.Begin(ctx, r, g)
	if failed := j.after("begin"); failed != nil {
		return journal.NoConflict, nil, failed
	}
	return o, rec, err
}

func (j *steps) Change(ctx context.Context, c *journal.Change) (journal.Conflict, *journal.Record, error) {
	if err := j.before("change"); err != nil {
		return journal.NoConflict, nil, err
	}
	conflict, rec, err := j.Journal.Change(ctx, c)
	if failed := j.after("change"); failed != nil {
		return journal.NoConflict, nil, failed
	}
	return conflict, rec, err
}

// plan fails the calls that are named, once for each time that they are named.
type plan struct {
	mu    sync.Mutex
	fails map[string]int // "before begin", "after change"
}

func (p *plan) fail(where string, times int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fails[where] += times
}

func (p *plan) at(where string) func(string) error {
	return func(call string) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.fails[where+" "+call] == 0 {
			return nil
		}
		p.fails[where+" "+call]--
		return errors.New("the disk failed")
	}
}

// newFailingStore is a store whose journal fails as planned.
func newFailingStore(t *testing.T) (*server.Store, *plan, string) {
	t.Helper()
	path := t.TempDir() + "/keys.db"
	j, err := idem.OpenJournal(path)
	require.NoError(t, err)
	p := &plan{fails: map[string]int{}}
	s, err := server.NewStore(&steps{Journal: j, before: p.at("before"), after: p.at("after")})
	require.NoError(t, err)
	return s, p, path
}

// A journal that cannot be written executes nothing: the caller is refused, and the
// key is free for the next request. A beginning that was written although the
// journal said it was not is taken up by the same payload.
func TestBeginningIsNotWritten(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"before begin", "after begin"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			s, p, _ := newFailingStore(t)
			h := &counter{}
			url := serve(t, s, h.ServeHTTP, quiet())
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			p.fail(where, 2)
			for range 2 {
				g := post(t, url, "k", "{}")
				requireProblem(t, g, 503, server.CodeUnavailable, server.StatusRefused)
				require.NotEmpty(t, g.header.Get("Retry-After"))
			}
			require.Zero(t, h.runs.Load())
			first := post(t, url, "k", "{}")
			requireFirst(t, first)
			requireReplay(t, first, post(t, url, "k", "{}"))
			require.EqualValues(t, 1, h.runs.Load())
		})
	}
}

// A reply that could not be made durable is told to nobody, and its key executes
// nothing: uncertain, until it can be written after all, with the next request or
// at Close.
func TestReplyIsNotWritten(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"before change", "after change"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			s, p, path := newFailingStore(t)
			h := &counter{}
			url := serve(t, s, h.ServeHTTP, quiet())
			p.fail(where, 3)
			for range 3 {
				requireProblem(t, post(t, url, "k", "{}"), 409, server.CodeUncertain, server.StatusUncertain)
				if where == "after change" {
					break // it is there: the next request reads it
				}
			}
			g := post(t, url, "k", "{}")
			require.Equal(t, `{"run":1,"got":"{}"}`, g.body)
			require.True(t, g.replayed())

			p.fail(where, 10)
			requireProblem(t, post(t, url, "k-2", "{}"), 409, server.CodeUncertain, server.StatusUncertain)
			p.mu.Lock()
			clear(p.fails)
			p.mu.Unlock()
			require.NoError(t, s.Close())

			again, err := server.Open(path)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, again.Close()) })
			g = post(t, serve(t, again, h.ServeHTTP), "k-2", "{}")
			require.Equal(t, `{"run":2,"got":"{}"}`, g.body)
			require.True(t, g.replayed())
			require.EqualValues(t, 2, h.runs.Load())
		})
	}
}

// What cannot be written at all is uncertain for whoever opens the store next, and
// Close says so.
func TestReplyIsNeverWritten(t *testing.T) {
	t.Parallel()
	s, p, path := newFailingStore(t)
	h := &counter{}
	p.fail("before change", 100)
	requireProblem(t, post(t, serve(t, s, h.ServeHTTP, quiet()), "k", "{}"), 409, server.CodeUncertain, server.StatusUncertain)
	require.ErrorContains(t, s.Close(), "the disk failed")
	again, err := server.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, again.Close()) })
	url := serve(t, again, h.ServeHTTP)
	for range 2 {
		requireProblem(t, post(t, url, "k", "{}"), 409, server.CodeUncertain, server.StatusUncertain)
	}
	require.EqualValues(t, 1, h.runs.Load())
}

// A client that opens the server's journal by mistake sends nothing of what the
// server received.
func TestAClientLeavesTheServersKeysAlone(t *testing.T) {
	t.Parallel()
	s, p, path := newFailingStore(t)
	p.fail("before change", 100)
	url := serve(t, s, (&counter{}).ServeHTTP, quiet())
	post(t, url, "k", "{}")
	require.Error(t, s.Close())
	c, err := idem.Open(path, idem.WithPolicy("*", idem.Policy{Contract: idem.Natural(), Retry: idem.Retry{AttemptTimeout: time.Second}}))
	require.NoError(t, err)
	defer c.Close()
	report, err := c.Recover(testCtx(t))
	require.NoError(t, err)
	// A child that another test starts at this moment holds the dead owner's lock until
	// it executes its program: the reason may be that one, too.
	report.Reasons = nil
	require.Equal(t, idem.Report{Skipped: 1}, report)
}
