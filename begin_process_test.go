package idem_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// The rows of the Begin table that need another process: one that lives, and one
// that was killed.

// Pending in a live other process: wait for its outcome. Another payload is
// refused at once.
func TestBeginWaitsForAnotherProcessOutcome(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]agentArgs{"keys kept": {}, "no contract": {NoContract: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			args.ID, args.Cents = "order-1", 500
			p := w.agent(args)
			key := w.begin(p)
			require.NoError(t, w.server.Script(holdReply()))
			p.tell("start")
			p.expect("started")
			require.NoError(t, w.server.WaitArrivals(testCtx(t), 1))

			c := w.open(idem.WithPolicy("create_invoice", policyFor(args)))
			in := w.mustBegin(c, 500)
			require.Equal(t, key, in.Key())
			w.refusesOther(c, key)
			ctx := watch(testCtx(t), 6)
			got := doing(ctx, in)
			ctx.waiting(t)
			w.server.Release()
			theirs := p.hear()
			ours := <-got
			require.NoError(t, ours.err)
			require.True(t, ours.replayed)
			require.Equal(t, theirs, "200 "+ours.body)
			require.Len(t, w.server.Arrivals(), 1)
			p.tell("close")
			p.expect("closed")
			p.wait()
		})
	}
}

func policyFor(args agentArgs) idem.Policy {
	if args.NoContract {
		return promisesNothing()
	}
	return stripe()
}

// Pending in a live other process that releases it, or dies: this caller runs it,
// under the same key.
func TestBeginWaitsForAnotherProcessRelease(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]agentArgs{"keys kept": {}, "no contract": {NoContract: true}} {
		for _, dies := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", dies", false: ", closes"}[dies], func(t *testing.T) {
				t.Parallel()
				args := args // the two run at once
				w := newWorld(t)
				args.ID, args.Cents = "order-1", 500
				p := w.agent(args)
				key := w.begin(p)
				c := w.open(idem.WithPolicy("create_invoice", policyFor(args)))
				in := w.mustBegin(c, 500)
				require.Equal(t, key, in.Key())
				ctx := watch(testCtx(t), 6)
				got := doing(ctx, in)
				ctx.waiting(t)
				require.Empty(t, w.server.Arrivals(), "it was sent although its owner lives")
				if dies {
					p.kill()
				} else {
					p.tell("close")
					p.expect("closed")
					p.wait()
				}
				ours := <-got
				require.NoError(t, ours.err)
				require.False(t, ours.replayed)
				require.Equal(t, http.StatusOK, ours.status)
				require.Len(t, w.server.EffectsOf(key), 1)
				require.Len(t, w.server.Arrivals(), 1)
			})
		}
	}
}

// Pending in a live other process until ctx ends: with keys kept it may have been
// sent there, so it is in doubt; where a mark comes before each attempt and there
// is none, nothing was sent.
func TestBeginWaitsForAnotherProcessUntilCtxEnds(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]agentArgs{"keys kept": {}, "no contract": {NoContract: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			args.ID, args.Cents = "order-1", 500
			p := w.agent(args)
			key := w.begin(p)
			c := w.open(idem.WithPolicy("create_invoice", policyFor(args)))
			in := w.mustBegin(c, 500)
			inner, cancel := context.WithCancel(testCtx(t))
			ctx := watch(inner, 6)
			got := doing(ctx, in)
			ctx.waiting(t)
			cancel()
			err := (<-got).err
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorContains(t, err, key)
			if args.NoContract {
				require.NotErrorIs(t, err, idem.ErrInDoubt)
				require.ErrorContains(t, err, "nothing was sent")
			} else {
				require.ErrorIs(t, err, idem.ErrInDoubt)
			}
			require.Empty(t, w.server.Arrivals())
			p.tell("do")
			require.Contains(t, p.hear(), "200 ", "the owner was not disturbed")
			require.Len(t, w.server.Arrivals(), 1)
		})
	}
}

// Pending, owner dead, provably never sent: no mark came before an attempt, so it
// is sent now even though the far side promises nothing. Another payload is
// refused: it may yet be sent.
func TestBeginSendsWhatADeadOwnerNeverSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	args := agentArgs{ID: "order-1", Cents: 500, NoContract: true}
	p := w.agent(args)
	key := w.begin(p)
	p.kill()
	c := w.open(idem.WithPolicy("create_invoice", promisesNothing()))
	w.refusesOther(c, key)
	in := w.mustBegin(c, 500)
	require.Equal(t, key, in.Key())
	require.Zero(t, in.FirstSent())
	got := do(context.Background(), in)
	require.NoError(t, got.err)
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, 1, in.Attempts())
	require.Len(t, w.server.EffectsOf(key), 1)
}

// Pending, owner dead, inside the window: the same key again, whether the dead
// owner had sent it or not.
func TestBeginTakesOverInsideTheWindow(t *testing.T) {
	t.Parallel()
	for _, sent := range []bool{true, false} {
		t.Run(map[bool]string{true: "sent", false: "not sent"}[sent], func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			args := agentArgs{ID: "order-1", Cents: 500}
			key := ""
			if sent {
				key = w.killAfterEffect(args)
			} else {
				p := w.agent(args)
				key = w.begin(p)
				p.kill()
			}
			c := w.open(idem.WithPolicy("create_invoice", stripe()))
			w.refusesOther(c, key)
			in := w.mustBegin(c, 500)
			require.Equal(t, key, in.Key())
			require.Equal(t, idem.Pending, in.State())
			require.NotZero(t, in.FirstSent(), "it may have been sent")
			got := do(context.Background(), in)
			require.NoError(t, got.err)
			require.Equal(t, sent, got.replayed)
			require.Equal(t, w.object(key), got.body)
			require.Len(t, w.server.Effects(), 1)
		})
	}
}

// Pending, owner dead, past the window or without a contract: the far side is
// asked what happened; where nobody can tell, it is in doubt. Nothing is sent.
func TestBeginDoubtsWhatADeadOwnerMayHaveSent(t *testing.T) {
	t.Parallel()
	tomorrow := func() time.Time { return time.Now().Add(25 * time.Hour) }
	for name, c := range map[string]struct {
		args agentArgs
		wall func() time.Time
	}{
		"past the window": {agentArgs{ID: "order-1", Cents: 500}, tomorrow},
		"no contract":     {agentArgs{ID: "order-1", Cents: 500, NoContract: true}, time.Now},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			key := w.killAfterEffect(c.args)
			client := w.open(idem.WithPolicy("create_invoice", policyFor(c.args)), idem.WithWall(c.wall))
			w.refusesOther(client, key)
			in := w.mustBegin(client, 500)
			require.Equal(t, key, in.Key())
			require.ErrorIs(t, do(context.Background(), in).err, idem.ErrInDoubt)
			require.Equal(t, idem.InDoubt, in.State())
			require.ErrorIs(t, do(context.Background(), w.mustBegin(client, 500)).err, idem.ErrInDoubt)
			require.Len(t, w.server.Arrivals(), 1)
		})
		t.Run(name+", asked", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			key := w.killAfterEffect(c.args)
			var asked atomic.Int64
			p := policyFor(c.args)
			p.Reconcile = func(_ context.Context, in *idem.Intent) (idem.Resolution, error) {
				asked.Add(1)
				return idem.Resolution{State: idem.Succeeded, Result: []byte(w.object(in.Key())), Note: "found"}, nil
			}
			client := w.open(idem.WithPolicy("create_invoice", p), idem.WithWall(c.wall))
			in := w.mustBegin(client, 500)
			got := do(context.Background(), in)
			require.NoError(t, got.err)
			require.Equal(t, w.object(key), got.body)
			require.Equal(t, int64(1), asked.Load())
			require.Len(t, w.server.Arrivals(), 1)
		})
	}
}

// Past the window, a dead owner's intent that was provably never sent is sent: the
// far side has not begun to count.
func TestBeginStampsTheWindowAnewWhenNothingWasSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.open(idem.WithPolicy("create_invoice", stripe()))
	in := w.mustBegin(first, 500)
	require.NoError(t, first.Close(), "which releases it: provably never sent")
	tomorrow := func() time.Time { return time.Now().Add(25 * time.Hour) }
	c := w.open(idem.WithPolicy("create_invoice", stripe()), idem.WithWall(tomorrow))
	again := w.mustBegin(c, 500)
	require.Equal(t, in.Key(), again.Key())
	require.NoError(t, do(context.Background(), again).err)
	require.Len(t, w.server.EffectsOf(in.Key()), 1)
}
