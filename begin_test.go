package idem_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// These tests try each state in which Begin finds an identity that exists, with the same
// payload and with another one.

func faults(kinds ...idemtest.FaultKind) (out []idemtest.Fault) {
	for _, k := range kinds {
		out = append(out, idemtest.Fault{Kind: k})
	}
	return out
}

// Pending, running here: one execution, and all callers get its outcome.
func TestBeginJoinsWhatRunsHere(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	require.NoError(t, w.Server.Script(clientkit.HoldReply()))
	first := w.MustBegin(c, 500)
	answers := []<-chan clientkit.Answer{clientkit.Doing(context.Background(), first)}
	require.NoError(t, w.Server.WaitArrivals(testkit.Context(t), 1))
	for range 8 {
		in := w.MustBegin(c, 500)
		require.Equal(t, first.Key(), in.Key())
		ctx := clientkit.Watch(context.Background(), 1)
		answers = append(answers, clientkit.Doing(ctx, in))
		ctx.Waiting(t)
	}
	w.RefusesOther(c, first.Key())
	w.Server.Release()
	outcome := <-answers[0]
	require.NoError(t, outcome.Err)
	require.Equal(t, http.StatusOK, outcome.Status)
	for _, a := range answers[1:] {
		require.Equal(t, outcome, <-a)
	}
	require.Len(t, w.Server.Arrivals(), 1)
}

// Pending here, and nobody runs it: the next caller does.
func TestBeginRunsWhatIsIdleHere(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	first := w.MustBegin(c, 500)
	second := w.MustBegin(c, 500)
	require.Equal(t, first.Key(), second.Key())
	w.RefusesOther(c, first.Key())
	got := clientkit.Do(context.Background(), second)
	require.NoError(t, got.Err)
	require.False(t, got.Replayed)
	require.Equal(t, got.Body, clientkit.Do(context.Background(), first).Body)
	require.Len(t, w.Server.Arrivals(), 1)
}

// Succeeded: the first outcome again, byte for byte, and nothing is sent.
func TestBeginReplaysASuccess(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	first := w.MustBegin(c, 500)
	outcome := clientkit.Do(context.Background(), first)
	require.NoError(t, outcome.Err)
	again := w.MustBegin(c, 500)
	require.Equal(t, first.Key(), again.Key())
	require.Equal(t, idem.Succeeded, again.State())
	require.Equal(t, clientkit.Answer{Status: outcome.Status, Body: outcome.Body, Replayed: true}, clientkit.Do(context.Background(), again))
	w.RefusesOther(c, first.Key())
	require.Len(t, w.Server.Arrivals(), 1)
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
	for name, p := range map[string]idem.Policy{"keys kept": clientkit.Stripe(), "no contract": clientkit.PromisesNothing()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			u := newUnreachable(t)
			c := w.Open(idem.WithPolicy("create_invoice", p), idem.WithTransport(u))
			first := w.MustBegin(c, 500)
			got := clientkit.Do(context.Background(), first)
			require.ErrorIs(t, got.Err, idem.ErrNotSent)
			require.NotErrorIs(t, got.Err, idem.ErrInDoubt)
			require.Equal(t, idem.Failed, first.State())
			require.Zero(t, first.FirstSent())
			require.Equal(t, 4, first.Attempts())

			again := w.MustBegin(c, 500)
			require.Equal(t, first.Key(), again.Key())
			require.ErrorIs(t, clientkit.Do(context.Background(), again).Err, idem.ErrNotSent)
			require.Equal(t, 8, again.Attempts())
			u.down.Store(false)
			third := w.MustBegin(c, 500)
			require.Equal(t, first.Key(), third.Key())
			got = clientkit.Do(context.Background(), third)
			require.NoError(t, got.Err)
			require.False(t, got.Replayed)
			require.Equal(t, 9, third.Attempts())
			w.RefusesOther(c, first.Key())
		})
	}
	t.Run("another payload", func(t *testing.T) {
		t.Parallel()
		w := clientkit.NewWorld(t)
		u := newUnreachable(t)
		c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()), idem.WithTransport(u))
		first := w.MustBegin(c, 500)
		require.ErrorIs(t, clientkit.Do(context.Background(), first).Err, idem.ErrNotSent)
		u.down.Store(false)
		w.LinksOther(c, first)
		require.Len(t, w.Server.Arrivals(), 1)
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
		for _, p := range []idem.Policy{clientkit.Stripe(), clientkit.PromisesNothing()} {
			t.Run(name+" "+p.Contract.Name, func(t *testing.T) {
				t.Parallel()
				w := clientkit.NewWorld(t)
				c := w.Open(idem.WithPolicy("create_invoice", p))
				require.NoError(t, w.Server.Script(faults(kinds...)...))
				first := w.MustBegin(c, 500)
				got := clientkit.Do(context.Background(), first)
				require.NoError(t, got.Err, "a refusal is an outcome")
				require.Equal(t, name, strconv.Itoa(got.Status))
				require.Equal(t, idem.Failed, first.State())
				require.Len(t, w.Server.Arrivals(), len(kinds))
				again := w.MustBegin(c, 500)
				require.Equal(t, first.Key(), again.Key())
				got = clientkit.Do(context.Background(), again)
				require.NoError(t, got.Err)
				require.Equal(t, http.StatusOK, got.Status)
				require.Equal(t, idem.Succeeded, again.State())
				require.Len(t, w.Server.EffectsOf(first.Key()), 1)
			})
		}
	}
	t.Run("another payload", func(t *testing.T) {
		t.Parallel()
		w := clientkit.NewWorld(t)
		c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
		require.NoError(t, w.Server.Script(faults(idemtest.Unauthorized401)...))
		first := w.MustBegin(c, 500)
		require.Equal(t, http.StatusUnauthorized, clientkit.Do(context.Background(), first).Status)
		w.LinksOther(c, first)
	})
}

// Failed, refused for good: the refusal again, byte for byte, and nothing is sent.
// With another payload the agent has mended its input.
func TestBeginReplaysARefusal(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	first := w.MustBegin(c, -500)
	refusal := clientkit.Do(context.Background(), first)
	require.NoError(t, refusal.Err)
	require.Equal(t, http.StatusBadRequest, refusal.Status)
	require.False(t, refusal.Replayed)
	require.Equal(t, idem.Failed, first.State())
	again := w.MustBegin(c, -500)
	require.Equal(t, first.Key(), again.Key())
	require.Equal(t, clientkit.Answer{Status: refusal.Status, Body: refusal.Body, Replayed: true}, clientkit.Do(context.Background(), again))
	require.Len(t, w.Server.Arrivals(), 1)
	w.LinksOther(c, first)
}

// Failed because a person said so counts as refused for good.
func TestBeginAfterAPersonSaidItFailed(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.PromisesNothing()))
	require.NoError(t, w.Server.Script(faults(idemtest.DropBefore)...))
	first := w.MustBegin(c, 500)
	require.ErrorIs(t, clientkit.Do(context.Background(), first).Err, idem.ErrInDoubt)
	require.NoError(t, c.Resolve(context.Background(), first.Key(), idem.Resolution{State: idem.Failed, Note: "Ada asked the provider"}))
	again := w.MustBegin(c, 500)
	require.Equal(t, first.Key(), again.Key())
	got := clientkit.Do(context.Background(), again)
	require.ErrorIs(t, got.Err, idem.ErrRefused)
	require.ErrorContains(t, got.Err, "Ada asked the provider")
	require.True(t, got.Replayed)
	w.LinksOther(c, first)
}

// InDoubt, inside the window of a contract that keeps keys: sent again under the
// same key, and the server replays what it did.
func TestBeginSendsAgainWhatIsInDoubtInsideTheWindow(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	require.NoError(t, w.Server.Script(faults(idemtest.DropAfter, idemtest.DropAfter, idemtest.DropAfter, idemtest.DropAfter)...))
	first := w.MustBegin(c, 500)
	got := clientkit.Do(context.Background(), first)
	require.ErrorIs(t, got.Err, idem.ErrInDoubt)
	require.Equal(t, idem.InDoubt, first.State())
	require.Len(t, w.Server.Arrivals(), 4)
	w.RefusesOther(c, first.Key())

	again := w.MustBegin(c, 500)
	require.Equal(t, first.Key(), again.Key())
	require.Equal(t, idem.InDoubt, again.State())
	got = clientkit.Do(context.Background(), again)
	require.NoError(t, got.Err)
	require.True(t, got.Replayed, "the server said so")
	require.Equal(t, 5, again.Attempts())
	require.Len(t, w.Server.Effects(), 1)
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
			w := clientkit.NewWorld(t)
			fault := idemtest.DropAfter
			if c.found.State == idem.Failed {
				fault = idemtest.DropBefore
			}
			require.NoError(t, w.Server.Script(faults(fault)...))
			client := w.Open(idem.WithPolicy("create_invoice", clientkit.PromisesNothing()))
			first := w.MustBegin(client, 500)
			require.ErrorIs(t, clientkit.Do(context.Background(), first).Err, idem.ErrInDoubt)
			require.NoError(t, client.Close())

			var asked atomic.Int64
			p := clientkit.PromisesNothing()
			p.Reconcile = func(_ context.Context, in *idem.Intent) (idem.Resolution, error) {
				asked.Add(1)
				r := c.found
				if r.State == idem.Succeeded {
					r.Result = []byte(w.Object(in.Key()))
				}
				return r, nil
			}
			client = w.Open(idem.WithPolicy("create_invoice", p))
			again := w.MustBegin(client, 500)
			require.Equal(t, first.Key(), again.Key())
			got := clientkit.Do(context.Background(), again)
			require.Equal(t, int64(1), asked.Load())
			require.Equal(t, c.found.State, again.State())
			if c.err == nil {
				require.NoError(t, got.Err)
				require.Equal(t, w.Object(first.Key()), got.Body)
			} else {
				require.ErrorIs(t, got.Err, c.err)
			}
			require.Len(t, w.Server.Arrivals(), 1, "it was sent again")
		})
	}
}

// InDoubt, no contract and nobody to ask: it stays in doubt and is never sent.
func TestBeginLeavesInDoubtWhatNobodyCanTell(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.PromisesNothing()))
	require.NoError(t, w.Server.Script(faults(idemtest.DropAfter)...))
	first := w.MustBegin(c, 500)
	for range 3 {
		again := w.MustBegin(c, 500)
		require.Equal(t, first.Key(), again.Key())
		var doubt *idem.InDoubtError
		require.ErrorAs(t, clientkit.Do(context.Background(), again).Err, &doubt)
		require.Equal(t, first.Key(), doubt.Key)
		require.Equal(t, 1, doubt.Attempts)
		require.Zero(t, doubt.SafeUntil)
	}
	w.RefusesOther(c, first.Key())
	require.Len(t, w.Server.Arrivals(), 1)
	now, err := c.Lookup(context.Background(), first.Key())
	require.NoError(t, err)
	require.Len(t, now.History(), 4, "begun, marked, one attempt, in doubt; asking again writes nothing: %v", now.History())
}
