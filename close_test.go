package idem_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
	"github.com/idem-go/idem/journal"
)

// Who waits, for how long, and how Close ends it. An attempt belongs to no caller:
// a ctx that ends stops a wait, not the attempt; Close waits until what is under
// way is recorded, and sends nothing more.

// TestACallersCtxEndsItsWaitOnly: the error Is both in doubt and the ctx's, the
// other callers are not cut, and the late reply is recorded.
func TestACallersCtxEndsItsWaitOnly(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	require.NoError(t, w.Server.Script(clientkit.HoldReply()))
	impatient, cancel := context.WithCancel(context.Background())
	first := clientkit.Doing(impatient, w.MustBegin(c, 500))
	require.NoError(t, w.Server.WaitEffects(testkit.Context(t), 1))
	ctx := clientkit.Watch(context.Background(), 1)
	patient := clientkit.Doing(ctx, w.MustBegin(c, 500))
	ctx.Waiting(t)
	cancel()
	err := (<-first).Err
	require.ErrorIs(t, err, idem.ErrInDoubt)
	require.ErrorIs(t, err, context.Canceled)
	w.Server.Release()
	got := <-patient
	require.NoError(t, got.Err)
	require.Len(t, w.Server.Arrivals(), 1)
	require.Equal(t, got.Body, clientkit.Do(context.Background(), w.MustBegin(c, 500)).Body)
}

// TestTheLastCallersCtxEnds while an attempt is under way: the attempt goes on,
// and what it brings is recorded although nobody waits any more.
func TestTheLastCallersCtxEnds(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	require.NoError(t, w.Server.Script(clientkit.HoldReply()))
	ctx, cancel := context.WithCancel(context.Background())
	in := w.MustBegin(c, 500)
	got := clientkit.Doing(ctx, in)
	require.NoError(t, w.Server.WaitEffects(testkit.Context(t), 1))
	cancel()
	require.ErrorIs(t, (<-got).Err, idem.ErrInDoubt)
	w.Server.Release()
	require.NoError(t, c.Close(), "which waits for it")
	on := clientkit.ReadJournal(t, w.Path)
	require.Len(t, on, 1)
	require.Equal(t, idem.Succeeded, on[0].State())
	require.Equal(t, w.Object(in.Key()), string(on[0].Outcome()))
	require.Len(t, w.Server.Arrivals(), 1)
}

// TestACtxThatEndsBeforeAnythingWasSent says that nothing was sent.
func TestACtxThatEndsBeforeAnythingWasSent(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := c.Begin(ctx, clientkit.Order(), w.Invoice(500))
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, idem.ErrInDoubt)
	in := w.MustBegin(c, 500)
	got := clientkit.Do(ctx, in)
	require.ErrorIs(t, got.Err, context.Canceled)
	require.NotErrorIs(t, got.Err, idem.ErrInDoubt)
	require.Empty(t, w.Server.Arrivals())
	require.NoError(t, clientkit.Do(context.Background(), in).Err, "it is still there to be done")
}

// TestCloseWaitsForTheAttemptUnderWay, records its outcome, and lets nothing new
// begin meanwhile.
func TestCloseWaitsForTheAttemptUnderWay(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]idem.Policy{"keys kept": clientkit.Stripe(), "no contract": clientkit.PromisesNothing()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			c := w.Open(idem.WithPolicy("create_invoice", p))
			require.NoError(t, w.Server.Script(clientkit.HoldReply()))
			in := w.MustBegin(c, 500)
			got := clientkit.Doing(context.Background(), in)
			require.NoError(t, w.Server.WaitEffects(testkit.Context(t), 1))
			closed := make(chan error, 1)
			go func() { closed <- c.Close() }()
			ctx := testkit.Context(t)
			for n := 0; ; n++ { // until Close has begun
				_, err := c.Begin(ctx, idem.Operation{Name: "create_invoice", ID: fmt.Sprint("late-", n)}, w.Invoice(100))
				if err != nil {
					require.ErrorIs(t, err, idem.ErrClosed)
					break
				}
			}
			select {
			case err := <-closed:
				require.FailNow(t, "closed under an attempt", "%v", err)
			default:
			}
			_, err := in.Do(ctx)
			require.ErrorIs(t, err, idem.ErrClosed)
			w.Server.Release()
			outcome := <-got
			require.NoError(t, outcome.Err)
			require.NoError(t, <-closed)
			require.NoError(t, c.Close(), "again")
			for _, on := range clientkit.ReadJournal(t, w.Path) {
				if on.Key() == in.Key() {
					require.Equal(t, idem.Succeeded, on.State())
					require.Equal(t, outcome.Body, string(on.Outcome()))
				} else {
					require.Equal(t, idem.Pending, on.State())
					require.Zero(t, on.FirstSent(), "given up as certainly not sent")
				}
			}
			require.Len(t, w.Server.Arrivals(), 1)
		})
	}
}

// attemptsOver is told when an attempt is over.
type attemptsOver chan idem.Event

func (attemptsOver) Start(ctx context.Context, _ idem.Event) context.Context { return ctx }

func (o attemptsOver) End(_ context.Context, e idem.Event) {
	if e.Attempt > 0 {
		o <- e
	}
}

// TestCloseEndsAWaitBetweenAttempts: the caller is told that it is in doubt, or,
// where nothing can have happened, that nothing was sent; the next client goes on
// under the same key.
func TestCloseEndsAWaitBetweenAttempts(t *testing.T) {
	t.Parallel()
	for _, status := range []int{clientkit.Lost, http.StatusTooManyRequests} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			g := clientkit.NewGated(t)
			path := testkit.NewPath(t)
			p := clientkit.Stripe()
			p.Retry.MinBackoff, p.Retry.MaxBackoff = 1000*hour, 1000*hour // the wait that Close ends
			over := attemptsOver(make(chan idem.Event, 1))
			c := clientkit.NewClient(t, path, idem.WithPolicy("create_invoice", p), idem.WithObserver(over))
			in, err := c.Begin(context.Background(), clientkit.Order(), testkit.NewInvoice(t, g.URL, 500))
			require.NoError(t, err)
			got := clientkit.Doing(context.Background(), in)
			g.Next().AnswerC <- clientkit.Step{Status: status}
			<-over
			require.NoError(t, c.Close())
			err = (<-got).Err
			require.ErrorIs(t, err, idem.ErrClosed)
			if status == clientkit.Lost {
				require.ErrorIs(t, err, idem.ErrInDoubt)
			}

			c = clientkit.NewClient(t, path, idem.WithPolicy("create_invoice", clientkit.Stripe()))
			again, err := c.Begin(context.Background(), clientkit.Order(), testkit.NewInvoice(t, g.URL, 500))
			require.NoError(t, err)
			got = clientkit.Doing(context.Background(), again)
			second := g.Next()
			require.Equal(t, in.Key(), second.Key)
			second.Reply(http.StatusOK, "{}")
			require.NoError(t, (<-got).Err)
			require.Equal(t, 2, again.Attempts())
		})
	}
}

// TestCloseEndsAWaitForAnotherProcess.
func TestCloseEndsAWaitForAnotherProcess(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	p := w.Agent(clientkit.AgentArgs{ID: "order-1", Cents: 500})
	w.Begin(p)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	ctx := clientkit.Watch(context.Background(), 4)
	got := clientkit.Doing(ctx, w.MustBegin(c, 500))
	ctx.Waiting(t)
	require.NoError(t, c.Close())
	require.ErrorIs(t, (<-got).Err, idem.ErrClosed)
	p.Tell("do")
	require.Contains(t, p.Hear(), "200 ")
}

// TestAnIdleBeginIsReleased after a while, by a row, so that no other process
// waits for its owner; the owner can still carry it out.
func TestAnIdleBeginIsReleased(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	p := w.Agent(clientkit.AgentArgs{ID: "order-1", Cents: 500, IdleRelease: 4 * time.Millisecond})
	key := w.Begin(p)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.PromisesNothing()))
	in := w.MustBegin(c, 500)
	require.Equal(t, key, in.Key())
	got := clientkit.Do(testkit.Context(t), in)
	require.NoError(t, got.Err, "its owner lives, and lets go")
	p.Tell("do")
	require.Equal(t, "200 "+got.Body, p.Hear())
	require.Len(t, w.Server.Arrivals(), 1)
}

// stuckJournal takes no changes: as one does whose lock a stopped process holds, after
// the wait for that lock.
type stuckJournal struct {
	idem.Journal
	mu      sync.Mutex
	changes []*journal.Change
	bounded int // of those, how many came with a deadline
}

var errStuck = errors.New("process 1234 (stopped: T) has the journal open")

func (s *stuckJournal) Change(ctx context.Context, c *journal.Change) (journal.Conflict, *journal.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes = append(s.changes, c)
	if _, ok := ctx.Deadline(); ok {
		s.bounded++
	}
	return journal.NoConflict, nil, errStuck
}

// TestClose_JournalStuck_DoesNotWaitForEachIntent: each row waits for the lock anew, so
// one that fails ends the releasing, and the outcomes that are left share a deadline.
func TestClose_JournalStuck_DoesNotWaitForEachIntent(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	j, err := idem.OpenJournal(w.Path)
	require.NoError(t, err)
	stuck := &stuckJournal{Journal: j}
	c, err := idem.New(stuck, idem.WithPolicy("*", clientkit.Stripe()), idem.WithIdleRelease(time.Hour))
	require.NoError(t, err)
	_, err = c.Do(w.Invoice(500), clientkit.Order())
	require.ErrorIs(t, err, idem.ErrUnrecorded)
	require.ErrorIs(t, err, errStuck)
	const idle, atOnce = 200, 64
	for i := range idle {
		_, err := c.Begin(testkit.Context(t), idem.Operation{Name: "create_invoice", ID: fmt.Sprint(i)}, w.Invoice(1))
		require.NoError(t, err)
	}
	stuck.changes, stuck.bounded = nil, 0
	require.ErrorIs(t, c.Close(), errStuck)
	require.LessOrEqual(t, len(stuck.changes), atOnce+1)
	require.Equal(t, 1, stuck.bounded, "the outcome")
	require.Equal(t, journal.Settled, stuck.changes[len(stuck.changes)-1].Kind)
	w.Unchecked = append(w.Unchecked, stuck.changes[len(stuck.changes)-1].Key)
}
