package idem_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/stretchr/testify/require"
)

// The table of what Begin finds on an identity that exists, cell by cell, each
// with the same payload and with another one. Which of the promises they are
// about: one intent, one key; one key, one payload; a settled outcome never
// changes; Failed means that nothing happened.

func holdReply() idemtest.Fault { return idemtest.Fault{Kind: idemtest.HoldReply} }

func faults(kinds ...idemtest.FaultKind) (out []idemtest.Fault) {
	for _, k := range kinds {
		out = append(out, idemtest.Fault{Kind: k})
	}
	return out
}

// order is the identity that most of these tests begin again and again.
func order() idem.Operation { return idem.Operation{Name: "create_invoice", ID: "order-1"} }

// begin begins order-1 with an invoice of so many cents.
func (w *world) mustBegin(c *idem.Client, cents int) *idem.Intent {
	w.t.Helper()
	in, err := c.Begin(context.Background(), order(), w.invoice(cents))
	require.NoError(w.t, err)
	return in
}

// refusesOther begins order-1 with another payload than it has: ErrMismatch that
// names the field and neither value, and nothing sent.
func (w *world) refusesOther(c *idem.Client, key string) {
	w.t.Helper()
	arrived := len(w.server.Arrivals())
	_, err := c.Begin(context.Background(), order(), w.invoice(777_001))
	require.ErrorIs(w.t, err, idem.ErrMismatch)
	require.NotErrorIs(w.t, err, idem.ErrInDoubt)
	require.ErrorContains(w.t, err, key)
	require.ErrorContains(w.t, err, "amount")
	require.NotContains(w.t, err.Error(), "777001")
	require.Len(w.t, w.server.Arrivals(), arrived, "something was sent")
}

// linksOther begins order-1 with another payload, after it failed: a new intent
// with a new key, linked to the one before, which then succeeds.
func (w *world) linksOther(c *idem.Client, before *idem.Intent) {
	w.t.Helper()
	in := w.mustBegin(c, 888)
	require.NotEqual(w.t, before.Key(), in.Key())
	require.Equal(w.t, before.Key(), in.Previous())
	require.Equal(w.t, idem.Pending, in.State())
	require.Zero(w.t, in.Attempts())
	got := do(context.Background(), in)
	require.NoError(w.t, got.err)
	require.Equal(w.t, http.StatusOK, got.status)
	require.False(w.t, got.replayed)
	require.Len(w.t, w.server.EffectsOf(in.Key()), 1)
}

// Pending, running here: one execution, and all callers get its outcome.
func TestBeginJoinsWhatRunsHere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(idem.WithPolicy("create_invoice", stripe()))
	require.NoError(t, w.server.Script(holdReply()))
	first := w.mustBegin(c, 500)
	answers := []<-chan answer{doing(context.Background(), first)}
	require.NoError(t, w.server.WaitArrivals(testCtx(t), 1))
	for range 8 {
		in := w.mustBegin(c, 500)
		require.Equal(t, first.Key(), in.Key())
		ctx := watch(context.Background(), 1)
		answers = append(answers, doing(ctx, in))
		ctx.waiting(t)
	}
	w.refusesOther(c, first.Key())
	w.server.Release()
	outcome := <-answers[0]
	require.NoError(t, outcome.err)
	require.Equal(t, http.StatusOK, outcome.status)
	for _, a := range answers[1:] {
		require.Equal(t, outcome, <-a)
	}
	require.Len(t, w.server.Arrivals(), 1)
}

// Pending here, and nobody runs it: the next caller does.
func TestBeginRunsWhatIsIdleHere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(idem.WithPolicy("create_invoice", stripe()))
	first := w.mustBegin(c, 500)
	second := w.mustBegin(c, 500)
	require.Equal(t, first.Key(), second.Key())
	w.refusesOther(c, first.Key())
	got := do(context.Background(), second)
	require.NoError(t, got.err)
	require.False(t, got.replayed)
	require.Equal(t, got.body, do(context.Background(), first).body)
	require.Len(t, w.server.Arrivals(), 1)
}

// Succeeded: the first outcome again, byte for byte, and nothing is sent.
func TestBeginReplaysASuccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(idem.WithPolicy("create_invoice", stripe()))
	first := w.mustBegin(c, 500)
	outcome := do(context.Background(), first)
	require.NoError(t, outcome.err)
	again := w.mustBegin(c, 500)
	require.Equal(t, first.Key(), again.Key())
	require.Equal(t, idem.Succeeded, again.State())
	require.Equal(t, answer{status: outcome.status, body: outcome.body, replayed: true}, do(context.Background(), again))
	w.refusesOther(c, first.Key())
	require.Len(t, w.server.Arrivals(), 1)
}

// unreachable is a real transport whose dials fail until it is told otherwise.
type unreachable struct {
	*http.Transport
	down atomic.Bool
}

func newUnreachable(t *testing.T) *unreachable {
	u := &unreachable{}
	u.down.Store(true)
	u.Transport = &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if u.down.Load() {
			return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("the cable is out")}
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
	t.Cleanup(u.CloseIdleConnections)
	return u
}

// Failed, never sent: the same payload opens it again under the same key.
func TestBeginReopensWhatWasNeverSent(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]idem.Policy{"keys kept": stripe(), "no contract": promisesNothing()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			u := newUnreachable(t)
			c := w.open(idem.WithPolicy("create_invoice", p), idem.WithTransport(u))
			first := w.mustBegin(c, 500)
			got := do(context.Background(), first)
			require.ErrorIs(t, got.err, idem.ErrNotSent)
			require.NotErrorIs(t, got.err, idem.ErrInDoubt)
			require.Equal(t, idem.Failed, first.State())
			require.Zero(t, first.FirstSent())
			require.Equal(t, 4, first.Attempts())

			again := w.mustBegin(c, 500)
			require.Equal(t, first.Key(), again.Key())
			require.ErrorIs(t, do(context.Background(), again).err, idem.ErrNotSent)
			require.Equal(t, 8, again.Attempts())
			u.down.Store(false)
			third := w.mustBegin(c, 500)
			require.Equal(t, first.Key(), third.Key())
			got = do(context.Background(), third)
			require.NoError(t, got.err)
			require.False(t, got.replayed)
			require.Equal(t, 9, third.Attempts())
			w.refusesOther(c, first.Key())
		})
	}
	t.Run("another payload", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		u := newUnreachable(t)
		c := w.open(idem.WithPolicy("create_invoice", stripe()), idem.WithTransport(u))
		first := w.mustBegin(c, 500)
		require.ErrorIs(t, do(context.Background(), first).err, idem.ErrNotSent)
		u.down.Store(false)
		w.linksOther(c, first)
		require.Len(t, w.server.Arrivals(), 1)
	})
}

// Failed, refused for a passing reason: the same payload is tried again under the
// same key.
func TestBeginTriesAgainAfterAPassingRefusal(t *testing.T) {
	t.Parallel()
	for name, kinds := range map[string][]idemtest.FaultKind{
		"401": {idemtest.Unauthorized401},
		"403": {idemtest.Forbidden403},
		"425": {idemtest.TooEarly425}, // with Stripe-Should-Retry: false
		"429": {idemtest.TooManyBare, idemtest.TooMany, idemtest.TooManyBare, idemtest.TooManyBare},
	} {
		for _, p := range []idem.Policy{stripe(), promisesNothing()} {
			t.Run(name+" "+p.Contract.Name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				c := w.open(idem.WithPolicy("create_invoice", p))
				require.NoError(t, w.server.Script(faults(kinds...)...))
				first := w.mustBegin(c, 500)
				got := do(context.Background(), first)
				require.NoError(t, got.err, "a refusal is an outcome")
				require.Equal(t, name, strconv.Itoa(got.status))
				require.Equal(t, idem.Failed, first.State())
				require.Len(t, w.server.Arrivals(), len(kinds))
				again := w.mustBegin(c, 500)
				require.Equal(t, first.Key(), again.Key())
				got = do(context.Background(), again)
				require.NoError(t, got.err)
				require.Equal(t, http.StatusOK, got.status)
				require.Equal(t, idem.Succeeded, again.State())
				require.Len(t, w.server.EffectsOf(first.Key()), 1)
			})
		}
	}
	t.Run("another payload", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		c := w.open(idem.WithPolicy("create_invoice", stripe()))
		require.NoError(t, w.server.Script(faults(idemtest.Unauthorized401)...))
		first := w.mustBegin(c, 500)
		require.Equal(t, http.StatusUnauthorized, do(context.Background(), first).status)
		w.linksOther(c, first)
	})
}

// Failed, refused for good: the refusal again, byte for byte, and nothing is sent.
// With another payload the agent has mended its input.
func TestBeginReplaysARefusal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(idem.WithPolicy("create_invoice", stripe()))
	first := w.mustBegin(c, -500)
	refusal := do(context.Background(), first)
	require.NoError(t, refusal.err)
	require.Equal(t, http.StatusBadRequest, refusal.status)
	require.False(t, refusal.replayed)
	require.Equal(t, idem.Failed, first.State())
	again := w.mustBegin(c, -500)
	require.Equal(t, first.Key(), again.Key())
	require.Equal(t, answer{status: refusal.status, body: refusal.body, replayed: true}, do(context.Background(), again))
	require.Len(t, w.server.Arrivals(), 1)
	w.linksOther(c, first)
}

// Failed because a person said so counts as refused for good.
func TestBeginAfterAPersonSaidItFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(idem.WithPolicy("create_invoice", promisesNothing()))
	require.NoError(t, w.server.Script(faults(idemtest.DropBefore)...))
	first := w.mustBegin(c, 500)
	require.ErrorIs(t, do(context.Background(), first).err, idem.ErrInDoubt)
	require.NoError(t, c.Resolve(context.Background(), first.Key(), idem.Resolution{State: idem.Failed, Note: "Ada asked the provider"}))
	again := w.mustBegin(c, 500)
	require.Equal(t, first.Key(), again.Key())
	got := do(context.Background(), again)
	require.ErrorIs(t, got.err, idem.ErrRefused)
	require.ErrorContains(t, got.err, "Ada asked the provider")
	require.True(t, got.replayed)
	w.linksOther(c, first)
}

// InDoubt, inside the window of a contract that keeps keys: sent again under the
// same key, and the server replays what it did.
func TestBeginSendsAgainWhatIsInDoubtInsideTheWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(idem.WithPolicy("create_invoice", stripe()))
	require.NoError(t, w.server.Script(faults(idemtest.DropAfter, idemtest.DropAfter, idemtest.DropAfter, idemtest.DropAfter)...))
	first := w.mustBegin(c, 500)
	got := do(context.Background(), first)
	require.ErrorIs(t, got.err, idem.ErrInDoubt)
	require.Equal(t, idem.InDoubt, first.State())
	require.Len(t, w.server.Arrivals(), 4)
	w.refusesOther(c, first.Key())

	again := w.mustBegin(c, 500)
	require.Equal(t, first.Key(), again.Key())
	require.Equal(t, idem.InDoubt, again.State())
	got = do(context.Background(), again)
	require.NoError(t, got.err)
	require.True(t, got.replayed, "the server said so")
	require.Equal(t, 5, again.Attempts())
	require.Len(t, w.server.Effects(), 1)
}

// InDoubt, where sending again is not safe: the far side is asked what happened.
func TestBeginReconcilesWhatIsInDoubt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		found idem.Resolution
		err   error
	}{
		{"it happened", idem.Resolution{State: idem.Succeeded, Note: "found by search"}, nil},
		{"it did not", idem.Resolution{State: idem.Failed, Note: "not found"}, idem.ErrRefused},
		{"still unknown", idem.Resolution{State: idem.InDoubt, Note: "the search lags"}, idem.ErrInDoubt},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			fault := idemtest.DropAfter
			if c.found.State == idem.Failed {
				fault = idemtest.DropBefore
			}
			require.NoError(t, w.server.Script(faults(fault)...))
			client := w.open(idem.WithPolicy("create_invoice", promisesNothing()))
			first := w.mustBegin(client, 500)
			require.ErrorIs(t, do(context.Background(), first).err, idem.ErrInDoubt)
			require.NoError(t, client.Close())

			var asked atomic.Int64
			p := promisesNothing()
			p.Reconcile = func(_ context.Context, in *idem.Intent) (idem.Resolution, error) {
				asked.Add(1)
				r := c.found
				if r.State == idem.Succeeded {
					r.Result = []byte(w.object(in.Key()))
				}
				return r, nil
			}
			client = w.open(idem.WithPolicy("create_invoice", p))
			again := w.mustBegin(client, 500)
			require.Equal(t, first.Key(), again.Key())
			got := do(context.Background(), again)
			require.Equal(t, int64(1), asked.Load())
			require.Equal(t, c.found.State, again.State())
			if c.err == nil {
				require.NoError(t, got.err)
				require.Equal(t, w.object(first.Key()), got.body)
			} else {
				require.ErrorIs(t, got.err, c.err)
			}
			require.Len(t, w.server.Arrivals(), 1, "it was sent again")
		})
	}
}

// object is what the server made under a key.
func (w *world) object(key string) string {
	l := w.server.Ledger()
	require.Len(w.t, l.EffectsOf(key), 1)
	return string(l.Objects[l.EffectsOf(key)[0].Object])
}

// InDoubt, no contract and nobody to ask: it stays in doubt and is never sent.
func TestBeginLeavesInDoubtWhatNobodyCanTell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(idem.WithPolicy("create_invoice", promisesNothing()))
	require.NoError(t, w.server.Script(faults(idemtest.DropAfter)...))
	first := w.mustBegin(c, 500)
	for range 3 {
		again := w.mustBegin(c, 500)
		require.Equal(t, first.Key(), again.Key())
		var doubt *idem.InDoubtError
		require.ErrorAs(t, do(context.Background(), again).err, &doubt)
		require.Equal(t, first.Key(), doubt.Key)
		require.Equal(t, 1, doubt.Attempts)
		require.Zero(t, doubt.SafeUntil)
	}
	w.refusesOther(c, first.Key())
	require.Len(t, w.server.Arrivals(), 1)
	now, err := c.Lookup(context.Background(), first.Key())
	require.NoError(t, err)
	require.Len(t, now.History(), 4, "begun, marked, one attempt, in doubt; asking again writes nothing: %v", now.History())
}
