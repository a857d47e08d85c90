package idem_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// interrupted is a client whose host can be down, and the server behind it.
func interrupted(t *testing.T, p idem.Policy) (w *clientkit.World, c *idem.Client, down func(bool)) {
	t.Helper()
	w = clientkit.NewWorld(t)
	off, transport := outage()
	p.Retry.MaxAttempts = 1
	return w, w.Open(idem.WithPolicy("*", p), idem.WithTransport(transport)), off.Store
}

// TestClaim_CorrectedCallSucceeded_OldHandleSendsNothing: promise 6. The first payload
// was never sent, and another one was begun and done in its place under the same
// identity: whoever still holds the first intent has the second's answer.
func TestClaim_CorrectedCallSucceeded_OldHandleSendsNothing(t *testing.T) {
	t.Parallel()
	for name, old := range map[string]func(c *idem.Client, kept *idem.Intent) (*idem.Intent, error){
		"kept handle": func(_ *idem.Client, kept *idem.Intent) (*idem.Intent, error) { return kept, nil },
		"looked up": func(c *idem.Client, kept *idem.Intent) (*idem.Intent, error) {
			return c.Lookup(context.Background(), kept.Key())
		},
		"listed": func(c *idem.Client, kept *idem.Intent) (*idem.Intent, error) {
			for in, err := range c.Intents(context.Background(), idem.Filter{States: []idem.State{idem.Failed}}) {
				return in, err
			}
			return nil, errors.New("it is not listed")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, c, down := interrupted(t, clientkit.Stripe())
			kept := w.MustBegin(c, 100)
			down(true)
			require.ErrorIs(t, clientkit.Do(testkit.Context(t), kept).Err, idem.ErrNotSent)
			down(false)
			require.NoError(t, clientkit.Do(testkit.Context(t), w.MustBegin(c, 200)).Err)
			in, err := old(c, kept)
			require.NoError(t, err)
			require.ErrorIs(t, clientkit.Do(testkit.Context(t), in).Err, idem.ErrMismatch)
			require.Len(t, w.Server.Effects(), 1)
		})
	}
}

// TestClaim_TwoPayloadsAtOnce_OneEffect: promise 6, without a kept handle: two callers
// ask for the same identity at once, one with a corrected payload.
func TestClaim_TwoPayloadsAtOnce_OneEffect(t *testing.T) {
	t.Parallel()
	w, c, down := interrupted(t, clientkit.Stripe())
	const rounds = 40
	for i := range rounds {
		op := idem.Operation{Name: "charge", ID: fmt.Sprint("order-", i)}
		down(true)
		_, err := c.Do(w.Invoice(100), op)
		require.ErrorIs(t, err, idem.ErrNotSent)
		down(false)
		before := len(w.Server.Effects())
		var wg sync.WaitGroup
		var errs [2]error
		for who, cents := range []int{100, 200} {
			req := w.Invoice(cents)
			wg.Go(func() { _, errs[who] = c.Do(req, op) })
		}
		wg.Wait()
		require.Len(t, w.Server.Effects(), before+1, "%v", errs)
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
				continue
			}
			require.ErrorIs(t, err, idem.ErrMismatch)
		}
		require.Equal(t, 1, done)
	}
}

// TestClaim_BudgetOfOne_OneOfManyIsSentAfterAnOutage: a budget holds however many calls
// that were never sent are asked for again.
func TestClaim_BudgetOfOne_OneOfManyIsSentAfterAnOutage(t *testing.T) {
	t.Parallel()
	p := clientkit.Stripe()
	p.Limit = idem.Limit{Cost: 100, Per: time.Hour}
	const calls = 12
	op := func(i int) idem.Operation { return idem.Operation{Name: "refund", ID: fmt.Sprint("r", i), Cost: 100} }
	for name, again := range map[string]func(t *testing.T, w *clientkit.World, c *idem.Client, kept []*idem.Intent) []error{
		"at once": func(_ *testing.T, w *clientkit.World, c *idem.Client, _ []*idem.Intent) []error {
			errs := make([]error, calls)
			var wg sync.WaitGroup
			for i := range calls {
				req := w.Invoice(i + 1)
				wg.Go(func() { _, errs[i] = c.Do(req, op(i)) })
			}
			wg.Wait()
			return errs
		},
		"all begun, then all done": func(t *testing.T, w *clientkit.World, c *idem.Client, _ []*idem.Intent) (errs []error) {
			var begun []*idem.Intent
			for i := range calls {
				in, err := c.Begin(testkit.Context(t), op(i), w.Invoice(i+1))
				require.NoError(t, err)
				begun = append(begun, in)
			}
			for _, in := range begun {
				errs = append(errs, clientkit.Do(testkit.Context(t), in).Err)
			}
			return errs
		},
		"kept handles": func(t *testing.T, _ *clientkit.World, _ *idem.Client, kept []*idem.Intent) (errs []error) {
			for _, in := range kept {
				errs = append(errs, clientkit.Do(testkit.Context(t), in).Err)
			}
			return errs
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, c, down := interrupted(t, p)
			down(true)
			var kept []*idem.Intent
			for i := range calls {
				in, err := c.Begin(testkit.Context(t), op(i), w.Invoice(i+1))
				require.NoError(t, err)
				require.ErrorIs(t, clientkit.Do(testkit.Context(t), in).Err, idem.ErrNotSent)
				kept = append(kept, in)
			}
			down(false)
			sent := 0
			for _, err := range again(t, w, c, kept) {
				if err == nil {
					sent++
					continue
				}
				require.ErrorIs(t, err, idem.ErrLimit)
			}
			require.Equal(t, 1, sent)
			require.Len(t, w.Server.Effects(), 1)
		})
	}
}

// TestClaim_DuplicateSucceededInTheWindow_FirstIsNotSent: a call that was never sent is
// delivered again after the same payload was done under another ID.
func TestClaim_DuplicateSucceededInTheWindow_FirstIsNotSent(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]bool{"gets the outcome": false, "is refused": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := clientkit.Stripe()
			p.Window, p.Refuse = time.Hour, refuse
			w := clientkit.NewWorld(t)
			off, transport := outage()
			p.Retry.MaxAttempts = 1
			clock := &clientkit.Wall{}
			c := w.Open(idem.WithPolicy("*", p), idem.WithTransport(transport), idem.WithClock(clock.Now))
			do := func(id string) error {
				_, err := c.Do(w.Invoice(100), idem.Operation{Name: "refund", ID: id})
				return err
			}
			off.Store(true)
			require.ErrorIs(t, do("call_1"), idem.ErrNotSent)
			off.Store(false)
			require.NoError(t, do("call_2"))
			if refuse {
				require.ErrorIs(t, do("call_1"), idem.ErrDuplicate)
				require.Len(t, w.Server.Effects(), 1)
				return
			}
			require.NoError(t, do("call_1"))
			clock.Set(48 * time.Hour) // the window is over: what was answered once is answered again
			require.NoError(t, do("call_1"))
			require.Len(t, w.Server.Effects(), 1)
		})
	}
}

// TestRecover_ReleasedIntentLostItsPlace_IsSkippedWithTheReason: what was begun and
// never sent does not go beyond a budget, or beside a duplicate, by way of Recover.
func TestRecover_ReleasedIntentLostItsPlace_IsSkippedWithTheReason(t *testing.T) {
	t.Parallel()
	for reason, set := range map[string]func(p *idem.Policy){
		"limit":     func(p *idem.Policy) { p.Limit = idem.Limit{Intents: 1, Per: time.Hour} },
		"duplicate": func(p *idem.Policy) { p.Window = time.Hour },
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			p := clientkit.Stripe()
			set(&p)
			clock := &clientkit.Wall{}
			open := func() *idem.Client {
				return w.Open(idem.WithPolicy("*", p), idem.WithClock(clock.Now))
			}
			c := open()
			_, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "first"}, w.Invoice(100))
			require.NoError(t, err)
			require.NoError(t, c.Close()) // released, never sent
			clock.Set(2 * time.Hour)
			c = open()
			_, err = c.Do(w.Invoice(100), idem.Operation{Name: "charge", ID: "second"})
			require.NoError(t, err)
			report, err := c.Recover(testkit.Context(t))
			require.NoError(t, err)
			require.Equal(t, idem.Report{Skipped: 1, Reasons: map[string]int{reason: 1}}, report)
			require.Len(t, w.Server.Effects(), 1)
		})
	}
}

// TestResolve_NotDoneAndAgain_NextCallSendsUnderANewKey: a person says that it was not
// sent and should be: the same Do and Recover send nothing, the next call does, once.
func TestResolve_NotDoneAndAgain_NextCallSendsUnderANewKey(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("*", clientkit.PromisesNothing()))
	ctx := testkit.Context(t)
	in := w.MustBegin(c, 100)
	require.NoError(t, w.Server.Script(losses(1)...))
	require.ErrorIs(t, clientkit.Do(ctx, in).Err, idem.ErrInDoubt)
	w.Unchecked = append(w.Unchecked, in.Key()) // the person is wrong: the loss was of the reply
	before := len(w.Server.Arrivals())
	require.ErrorContains(t, c.Resolve(ctx, in.Key(), idem.Resolution{State: idem.Succeeded, Again: true}), "Again")
	require.NoError(t, c.Resolve(ctx, in.Key(), idem.Resolution{State: idem.Failed, Again: true, Note: "ops: it never arrived"}))
	kept := clientkit.Do(ctx, in)
	require.ErrorIs(t, kept.Err, idem.ErrRefused)
	require.ErrorContains(t, kept.Err, "begin it again")
	_, err := c.Recover(ctx)
	require.NoError(t, err)
	require.Len(t, w.Server.Arrivals(), before)

	next := w.MustBegin(c, 100)
	require.NotEqual(t, in.Key(), next.Key())
	require.Equal(t, in.Key(), next.Previous())
	require.NoError(t, clientkit.Do(ctx, next).Err)
	require.NoError(t, clientkit.Do(ctx, w.MustBegin(c, 100)).Err)
	require.Len(t, w.Server.Arrivals(), before+1)
}

// TestSettle_LateEvidence_SettlesAndNeverContradicts: a webhook's success is taken while
// the call is under way; the same verdict again is nothing new, the contrary an error.
func TestSettle_LateEvidence_SettlesAndNeverContradicts(t *testing.T) {
	t.Parallel()
	g := clientkit.NewGated(t)
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", clientkit.Stripe()))
	ctx := testkit.Context(t)
	in, err := c.Begin(ctx, clientkit.Order(), testkit.NewInvoice(t, g.URL, 100))
	require.NoError(t, err)
	got := clientkit.Doing(ctx, in)
	held := g.Next()
	require.NoError(t, c.Settle(ctx, in.Key(), idem.Resolution{State: idem.Succeeded, Result: []byte(`{"id":"in_7"}`), Note: "webhook"}))
	held.Reply(200, `{"id":"in_7"}`)
	require.NoError(t, (<-got).Err)
	require.NoError(t, c.Settle(ctx, in.Key(), idem.Resolution{State: idem.Succeeded}), "the same again")
	require.ErrorContains(t, c.Settle(ctx, in.Key(), idem.Resolution{State: idem.Failed, Note: "webhook 2"}), "never changes")
	now, err := c.Lookup(ctx, in.Key())
	require.NoError(t, err)
	require.Equal(t, idem.Succeeded, now.State())
	history := now.History()
	require.Contains(t, history[len(history)-1].Note, "webhook 2")
	require.ErrorIs(t, c.Settle(ctx, "no such key", idem.Resolution{State: idem.Succeeded}), idem.ErrNoIntent)
}
