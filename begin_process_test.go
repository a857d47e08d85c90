package idem_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
	"github.com/idem-go/idem/journal"
)

// The rows of the Begin table that need another process: one that lives, and one
// that was killed.

// Pending in a live other process: wait for its outcome. Another payload is
// refused at once.
func TestBeginWaitsForAnotherProcessOutcome(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]clientkit.AgentArgs{"keys kept": {}, "no contract": {NoContract: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			args.ID, args.Cents = "order-1", 500
			p := w.Agent(args)
			key := w.Begin(p)
			require.NoError(t, w.Server.Script(clientkit.HoldReply()))
			p.Tell("start")
			p.Expect("started")
			require.NoError(t, w.Server.WaitArrivals(testkit.Context(t), 1))

			c := w.Open(idem.WithPolicy("create_invoice", clientkit.PolicyFor(args)))
			in := w.MustBegin(c, 500)
			require.Equal(t, key, in.Key())
			w.RefusesOther(c, key)
			ctx := clientkit.Watch(testkit.Context(t), 6)
			got := clientkit.Doing(ctx, in)
			ctx.Waiting(t)
			w.Server.Release()
			theirs := p.Hear()
			ours := <-got
			require.NoError(t, ours.Err)
			require.True(t, ours.Replayed)
			require.Equal(t, theirs, "200 "+ours.Body)
			require.Len(t, w.Server.Arrivals(), 1)
			p.Tell("close")
			p.Expect("closed")
			p.Wait()
		})
	}
}

// Pending in a live other process that releases it, or dies: this caller runs it,
// under the same key.
func TestBeginWaitsForAnotherProcessRelease(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]clientkit.AgentArgs{"keys kept": {}, "no contract": {NoContract: true}} {
		for _, dies := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", dies", false: ", closes"}[dies], func(t *testing.T) {
				t.Parallel()
				args := args // the two run at once
				w := clientkit.NewWorld(t)
				args.ID, args.Cents = "order-1", 500
				p := w.Agent(args)
				key := w.Begin(p)
				c := w.Open(idem.WithPolicy("create_invoice", clientkit.PolicyFor(args)))
				in := w.MustBegin(c, 500)
				require.Equal(t, key, in.Key())
				ctx := clientkit.Watch(testkit.Context(t), 6)
				got := clientkit.Doing(ctx, in)
				ctx.Waiting(t)
				require.Empty(t, w.Server.Arrivals(), "it was sent although its owner lives")
				if dies {
					p.Kill()
				} else {
					p.Tell("close")
					p.Expect("closed")
					p.Wait()
				}
				ours := <-got
				require.NoError(t, ours.Err)
				require.False(t, ours.Replayed)
				require.Equal(t, http.StatusOK, ours.Status)
				require.Len(t, w.Server.EffectsOf(key), 1)
				require.Len(t, w.Server.Arrivals(), 1)
			})
		}
	}
}

// Pending in a live other process until ctx ends: with keys kept it may have been
// sent there, so it is in doubt; where a mark comes before each attempt and there
// is none, nothing was sent.
func TestBeginWaitsForAnotherProcessUntilCtxEnds(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]clientkit.AgentArgs{"keys kept": {}, "no contract": {NoContract: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			args.ID, args.Cents = "order-1", 500
			p := w.Agent(args)
			key := w.Begin(p)
			c := w.Open(idem.WithPolicy("create_invoice", clientkit.PolicyFor(args)))
			in := w.MustBegin(c, 500)
			inner, cancel := context.WithCancel(testkit.Context(t))
			ctx := clientkit.Watch(inner, 6)
			got := clientkit.Doing(ctx, in)
			ctx.Waiting(t)
			cancel()
			err := (<-got).Err
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorContains(t, err, key)
			if args.NoContract {
				require.NotErrorIs(t, err, idem.ErrInDoubt)
				require.ErrorContains(t, err, "nothing was sent")
			} else {
				require.ErrorIs(t, err, idem.ErrInDoubt)
			}
			require.Empty(t, w.Server.Arrivals())
			p.Tell("do")
			require.Contains(t, p.Hear(), "200 ", "the owner was not disturbed")
			require.Len(t, w.Server.Arrivals(), 1)
		})
	}
}

// Pending, owner dead, provably never sent: no mark came before an attempt, so it
// is sent now even though the far side promises nothing. Another payload is
// refused: it may yet be sent.
func TestBeginSendsWhatADeadOwnerNeverSent(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	args := clientkit.AgentArgs{ID: "order-1", Cents: 500, NoContract: true}
	p := w.Agent(args)
	key := w.Begin(p)
	p.Kill()
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.PromisesNothing()))
	w.RefusesOther(c, key)
	in := w.MustBegin(c, 500)
	require.Equal(t, key, in.Key())
	require.Zero(t, in.FirstSent())
	got := clientkit.Do(context.Background(), in)
	require.NoError(t, got.Err)
	require.Equal(t, http.StatusOK, got.Status)
	require.Equal(t, 1, in.Attempts())
	require.Len(t, w.Server.EffectsOf(key), 1)
}

// Pending, owner dead, inside the window: the same key again, whether the dead
// owner had sent it or not.
func TestBeginTakesOverInsideTheWindow(t *testing.T) {
	t.Parallel()
	for _, sent := range []bool{true, false} {
		t.Run(map[bool]string{true: "sent", false: "not sent"}[sent], func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			args := clientkit.AgentArgs{ID: "order-1", Cents: 500}
			key := ""
			if sent {
				key = w.KillAfterEffect(args)
			} else {
				p := w.Agent(args)
				key = w.Begin(p)
				p.Kill()
			}
			c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
			w.RefusesOther(c, key)
			in := w.MustBegin(c, 500)
			require.Equal(t, key, in.Key())
			require.Equal(t, idem.Pending, in.State())
			require.NotZero(t, in.FirstSent(), "it may have been sent")
			got := clientkit.Do(context.Background(), in)
			require.NoError(t, got.Err)
			require.Equal(t, sent, got.Replayed)
			require.Equal(t, w.Object(key), got.Body)
			require.Len(t, w.Server.Effects(), 1)
		})
	}
}

// Pending, owner dead, past the window or without a contract: the far side is
// asked what happened; where nobody can tell, it is in doubt. Nothing is sent.
func TestBeginDoubtsWhatADeadOwnerMayHaveSent(t *testing.T) {
	t.Parallel()
	tomorrow := func() time.Time { return time.Now().Add(25 * time.Hour) }
	for name, c := range map[string]struct {
		args clientkit.AgentArgs
		wall func() time.Time
	}{
		"past the window": {clientkit.AgentArgs{ID: "order-1", Cents: 500}, tomorrow},
		"no contract":     {clientkit.AgentArgs{ID: "order-1", Cents: 500, NoContract: true}, time.Now},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			key := w.KillAfterEffect(c.args)
			client := w.Open(idem.WithPolicy("create_invoice", clientkit.PolicyFor(c.args)), idem.WithClock(c.wall))
			w.RefusesOther(client, key)
			in := w.MustBegin(client, 500)
			require.Equal(t, key, in.Key())
			require.ErrorIs(t, clientkit.Do(context.Background(), in).Err, idem.ErrInDoubt)
			require.Equal(t, idem.InDoubt, in.State())
			require.ErrorIs(t, clientkit.Do(context.Background(), w.MustBegin(client, 500)).Err, idem.ErrInDoubt)
			require.Len(t, w.Server.Arrivals(), 1)
		})
		t.Run(name+", asked", func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			key := w.KillAfterEffect(c.args)
			var asked atomic.Int64
			p := clientkit.PolicyFor(c.args)
			p.Reconcile = func(_ context.Context, in *idem.Intent) (idem.Resolution, error) {
				asked.Add(1)
				return idem.Resolution{State: idem.Succeeded, Result: []byte(w.Object(in.Key())), Note: "found"}, nil
			}
			client := w.Open(idem.WithPolicy("create_invoice", p), idem.WithClock(c.wall))
			in := w.MustBegin(client, 500)
			got := clientkit.Do(context.Background(), in)
			require.NoError(t, got.Err)
			require.Equal(t, w.Object(key), got.Body)
			require.Equal(t, int64(1), asked.Load())
			require.Len(t, w.Server.Arrivals(), 1)
		})
	}
}

// Past the window, a dead owner's intent that was provably never sent is sent: the
// far side has not begun to count.
func TestBeginStampsTheWindowAnewWhenNothingWasSent(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	first := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	in := w.MustBegin(first, 500)
	require.NoError(t, first.Close(), "which releases it: provably never sent")
	tomorrow := func() time.Time { return time.Now().Add(25 * time.Hour) }
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()), idem.WithClock(tomorrow))
	again := w.MustBegin(c, 500)
	require.Equal(t, in.Key(), again.Key())
	require.NoError(t, clientkit.Do(context.Background(), again).Err)
	require.Len(t, w.Server.EffectsOf(in.Key()), 1)
}

// slowBegin is a journal whose first Begin returns only when it is let go, though
// what it inserted is there for everybody.
type slowBegin struct {
	idem.Journal
	began, release chan struct{}
}

func (s *slowBegin) Begin(ctx context.Context, r *journal.Record, g journal.Checks) (journal.Conflict, *journal.Record, error) {
	obstacle, standing, err := s.Journal.Begin(ctx, r, g)
	if obstacle == journal.NoConflict && err == nil {
		close(s.began)
		<-s.release
	}
	return obstacle, standing, err
}

// TestABeginThatReturnsLate: another caller found the intent and carried it out
// before the call that began it went on. What is settled is not sent again, and
// what failed is not sent behind the journal's back.
func TestABeginThatReturnsLate(t *testing.T) {
	t.Parallel()
	for _, cents := range []int{500, -500} { // done, and refused
		w := clientkit.NewWorld(t)
		j, err := idem.OpenJournal(w.Path)
		require.NoError(t, err)
		slow := &slowBegin{j, make(chan struct{}), make(chan struct{})}
		c, err := idem.New(slow, idem.WithPolicy("create_invoice", clientkit.Stripe()))
		require.NoError(t, err)
		first := make(chan clientkit.Answer, 1)
		go func() {
			in, err := c.Begin(context.Background(), clientkit.Order(), w.Invoice(cents))
			if err != nil {
				first <- clientkit.Answer{Err: err}
				return
			}
			first <- clientkit.Do(context.Background(), in)
		}()
		<-slow.began
		second := clientkit.Do(context.Background(), w.MustBegin(c, cents))
		require.NoError(t, second.Err)
		close(slow.release)
		got := <-first
		require.NoError(t, got.Err)
		require.Equal(t, second.Body, got.Body)
		require.Len(t, w.Server.Arrivals(), 1)
		require.NoError(t, c.Close())
	}
}

// Processes that begin intents in turns on one journal stand in nobody's way: each
// intent is its own, with its own key, and what one wrote counts for the next.
func TestProcessesBeginInTurns(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
	keys := map[string]bool{}
	for i := range 4 {
		in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "create_invoice", ID: fmt.Sprint("here ", i)}, w.Invoice(500))
		require.NoError(t, err)
		keys[in.Key()] = true
		other := w.Agent(clientkit.AgentArgs{ID: fmt.Sprint("there ", i), Cents: 500})
		keys[w.Begin(other)] = true
		other.Tell("close")
		other.Expect("closed")
		other.Wait()
	}
	require.Len(t, keys, 8)
	for key := range keys {
		in, err := c.Lookup(testkit.Context(t), key)
		require.NoError(t, err)
		require.Equal(t, idem.Pending, in.State())
	}
}
