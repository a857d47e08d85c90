package idem_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// Who waits, for how long, and how Close ends it. An attempt belongs to no caller:
// a ctx that ends stops a wait, not the attempt; Close waits until what is under
// way is recorded, and sends nothing more.

// TestACallersCtxEndsItsWaitOnly: the error Is both in doubt and the ctx's, the
// other callers are not cut, and the late reply is recorded.
func TestACallersCtxEndsItsWaitOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(idem.WithPolicy("create_invoice", stripe()))
	require.NoError(t, w.server.Script(holdReply()))
	impatient, cancel := context.WithCancel(context.Background())
	first := doing(impatient, w.mustBegin(c, 500))
	require.NoError(t, w.server.WaitEffects(testCtx(t), 1))
	ctx := watch(context.Background(), 1)
	patient := doing(ctx, w.mustBegin(c, 500))
	ctx.waiting(t)
	cancel()
	err := (<-first).err
	require.ErrorIs(t, err, idem.ErrInDoubt)
	require.ErrorIs(t, err, context.Canceled)
	w.server.Release()
	got := <-patient
	require.NoError(t, got.err)
	require.Len(t, w.server.Arrivals(), 1)
	require.Equal(t, got.body, do(context.Background(), w.mustBegin(c, 500)).body)
}

// TestTheLastCallersCtxEnds while an attempt is under way: the attempt goes on,
// and what it brings is recorded although nobody waits any more.
func TestTheLastCallersCtxEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(idem.WithPolicy("create_invoice", stripe()))
	require.NoError(t, w.server.Script(holdReply()))
	ctx, cancel := context.WithCancel(context.Background())
	in := w.mustBegin(c, 500)
	got := doing(ctx, in)
	require.NoError(t, w.server.WaitEffects(testCtx(t), 1))
	cancel()
	require.ErrorIs(t, (<-got).err, idem.ErrInDoubt)
	w.server.Release()
	require.NoError(t, c.Close(), "which waits for it")
	on := readJournal(t, w.path)
	require.Len(t, on, 1)
	require.Equal(t, idem.Succeeded, on[0].State())
	require.Equal(t, w.object(in.Key()), string(on[0].Outcome()))
	require.Len(t, w.server.Arrivals(), 1)
}

// TestACtxThatEndsBeforeAnythingWasSent says that nothing was sent.
func TestACtxThatEndsBeforeAnythingWasSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(idem.WithPolicy("create_invoice", stripe()))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := c.Begin(ctx, order(), w.invoice(500))
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, idem.ErrInDoubt)
	in := w.mustBegin(c, 500)
	got := do(ctx, in)
	require.ErrorIs(t, got.err, context.Canceled)
	require.NotErrorIs(t, got.err, idem.ErrInDoubt)
	require.Empty(t, w.server.Arrivals())
	require.NoError(t, do(context.Background(), in).err, "it is still there to be done")
}

// TestCloseWaitsForTheAttemptUnderWay, records its outcome, and lets nothing new
// begin meanwhile.
func TestCloseWaitsForTheAttemptUnderWay(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]idem.Policy{"keys kept": stripe(), "no contract": promisesNothing()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := w.open(idem.WithPolicy("create_invoice", p))
			require.NoError(t, w.server.Script(holdReply()))
			in := w.mustBegin(c, 500)
			got := doing(context.Background(), in)
			require.NoError(t, w.server.WaitEffects(testCtx(t), 1))
			closed := make(chan error, 1)
			go func() { closed <- c.Close() }()
			ctx := testCtx(t)
			for n := 0; ; n++ { // until Close has begun
				_, err := c.Begin(ctx, idem.Operation{Name: "create_invoice", ID: fmt.Sprint("late-", n)}, w.invoice(100))
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
			w.server.Release()
			outcome := <-got
			require.NoError(t, outcome.err)
			require.NoError(t, <-closed)
			require.NoError(t, c.Close(), "again")
			for _, on := range readJournal(t, w.path) {
				if on.Key() == in.Key() {
					require.Equal(t, idem.Succeeded, on.State())
					require.Equal(t, outcome.body, string(on.Outcome()))
				} else {
					require.Equal(t, idem.Pending, on.State())
					require.Zero(t, on.FirstSent(), "given up as certainly not sent")
				}
			}
			require.Len(t, w.server.Arrivals(), 1)
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
	for _, status := range []int{lost, http.StatusTooManyRequests} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			g := newGated(t)
			path := newPath(t)
			p := stripe()
			p.Retry.MinBackoff, p.Retry.MaxBackoff = 1000*hour, 1000*hour // the wait that Close ends
			over := attemptsOver(make(chan idem.Event, 1))
			c := newClient(t, path, idem.WithPolicy("create_invoice", p), idem.WithObserver(over))
			in, err := c.Begin(context.Background(), order(), newInvoice(t, g.url, 500))
			require.NoError(t, err)
			got := doing(context.Background(), in)
			g.next().answer <- step{status: status}
			<-over
			require.NoError(t, c.Close())
			err = (<-got).err
			require.ErrorIs(t, err, idem.ErrClosed)
			if status == lost {
				require.ErrorIs(t, err, idem.ErrInDoubt)
			}

			c = newClient(t, path, idem.WithPolicy("create_invoice", stripe()))
			again, err := c.Begin(context.Background(), order(), newInvoice(t, g.url, 500))
			require.NoError(t, err)
			got = doing(context.Background(), again)
			second := g.next()
			require.Equal(t, in.Key(), second.key)
			second.reply(http.StatusOK, "{}")
			require.NoError(t, (<-got).err)
			require.Equal(t, 2, again.Attempts())
		})
	}
}

// TestCloseEndsAWaitForAnotherProcess.
func TestCloseEndsAWaitForAnotherProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.agent(agentArgs{ID: "order-1", Cents: 500})
	w.begin(p)
	c := w.open(idem.WithPolicy("create_invoice", stripe()))
	ctx := watch(context.Background(), 4)
	got := doing(ctx, w.mustBegin(c, 500))
	ctx.waiting(t)
	require.NoError(t, c.Close())
	require.ErrorIs(t, (<-got).err, idem.ErrClosed)
	p.tell("do")
	require.Contains(t, p.hear(), "200 ")
}

// TestAnIdleBeginIsReleased after a while, by a row, so that no other process
// waits for its owner; the owner can still carry it out.
func TestAnIdleBeginIsReleased(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.agent(agentArgs{ID: "order-1", Cents: 500, IdleRelease: 4 * time.Millisecond})
	key := w.begin(p)
	c := w.open(idem.WithPolicy("create_invoice", promisesNothing()))
	in := w.mustBegin(c, 500)
	require.Equal(t, key, in.Key())
	got := do(testCtx(t), in)
	require.NoError(t, got.err, "its owner lives, and lets go")
	p.tell("do")
	require.Equal(t, "200 "+got.body, p.hear())
	require.Len(t, w.server.Arrivals(), 1)
}
