package idem_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/stretchr/testify/require"
)

// A key is sent only while one attempt and a margin fit into what is left of the
// far side's retention, counted from a journaled instant; after that it is in
// doubt. Clocks that jump never lengthen that.

const hour = time.Hour

func losses(n int) (out []idemtest.Fault) {
	for range n {
		out = append(out, idemtest.Fault{Kind: idemtest.DropAfter})
	}
	return out
}

// TestAKeyIsSentOnlyInsideItsWindow: by another call, by another opener and by
// Recover. Stripe keeps a key for 24 hours; one attempt takes 20 seconds at most
// and the margin is a minute.
func TestAKeyIsSentOnlyInsideItsWindow(t *testing.T) {
	t.Parallel()
	edge := 24*hour - time.Minute - 20*time.Second
	for _, ahead := range []time.Duration{0, 23 * hour, edge - 20*time.Second, edge + time.Second, 25 * hour, 24 * 365 * hour} {
		inside := ahead < edge
		for _, way := range []string{"call", "reopen", "recover"} {
			t.Run(fmt.Sprint(way, " ", ahead), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				clock := &wall{}
				c := w.open(idem.WithPolicy("create_invoice", stripe()), idem.WithWall(clock.now))
				require.NoError(t, w.server.Script(losses(4)...))
				in := w.mustBegin(c, 500)
				begun := in.SafeUntil()
				require.ErrorIs(t, do(context.Background(), in).err, idem.ErrInDoubt)
				clock.set(ahead)
				w.server.Advance(ahead)
				if way != "call" {
					require.NoError(t, c.Close())
					c = w.open(idem.WithPolicy("create_invoice", stripe()), idem.WithWall(clock.now))
				}
				if way == "recover" {
					_, err := c.Recover(context.Background())
					require.NoError(t, err)
				} else {
					do(context.Background(), w.mustBegin(c, 500))
				}
				on, err := c.Lookup(context.Background(), in.Key())
				require.NoError(t, err)
				require.Equal(t, begun, on.SafeUntil(), "an attempt moved the window")
				if inside {
					require.Equal(t, idem.Succeeded, on.State())
					require.Len(t, w.server.Arrivals(), 5)
				} else {
					require.Equal(t, idem.InDoubt, on.State())
					require.Len(t, w.server.Arrivals(), 4, "sent past its window")
				}
			})
		}
	}
}

// TestAWindowThatClosesWhileACallWaits: between two attempts of one call.
func TestAWindowThatClosesWhileACallWaits(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]idem.State{lost: idem.InDoubt, http.StatusTooManyRequests: idem.Failed} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			clock := &wall{}
			arrivals := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				arrivals++
				clock.set(25 * hour)
				if status == lost {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(status)
			}))
			defer server.Close()
			c := newClient(t, newPath(t), idem.WithPolicy("create_invoice", stripe()), idem.WithWall(clock.now))
			in, err := c.Begin(context.Background(), order(), newInvoice(t, server.URL, 500))
			require.NoError(t, err)
			do(context.Background(), in)
			require.Equal(t, want, in.State())
			require.Equal(t, 1, arrivals)
			require.Equal(t, 1, in.Attempts())
		})
	}
}

// TestTheWindowStartsWhenNothingWasSentBefore: a Begin that waited for its Do is
// stamped anew, durably, since nothing was sent; from then on the window stands.
func TestTheWindowStartsWhenNothingWasSentBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := &wall{}
	c := w.open(idem.WithPolicy("create_invoice", stripe()), idem.WithWall(clock.now))
	in := w.mustBegin(c, 500)
	first := in.SafeUntil()
	clock.set(30 * hour)
	require.NoError(t, w.server.Script(losses(4)...))
	require.ErrorIs(t, do(context.Background(), in).err, idem.ErrInDoubt)
	require.Len(t, w.server.Arrivals(), 4)
	require.WithinDuration(t, first.Add(30*hour), in.SafeUntil(), 30*time.Second)
	clock.set(52 * hour)
	require.NoError(t, w.server.Script(losses(4)...))
	require.ErrorIs(t, do(context.Background(), in).err, idem.ErrInDoubt)
	require.Len(t, w.server.Arrivals(), 8, "22 hours after the first attempt it is safe")
	clock.set(54 * hour)
	require.ErrorIs(t, do(context.Background(), in).err, idem.ErrInDoubt)
	require.Len(t, w.server.Arrivals(), 8, "24 hours after the first attempt it is not")
}

// TestAClockThatJumpsBackNeverLengthensAWindow: 20 hours pass, the clock is set
// back by 10, 5 more pass: 25 have passed, whoever looks and however the process
// that noticed the jump ended.
func TestAClockThatJumpsBackNeverLengthensAWindow(t *testing.T) {
	t.Parallel()
	const passed, back, more = 20 * hour, 10 * hour, 5 * hour
	clocked := func(w *world, clock *wall) *idem.Client {
		return w.open(idem.WithPolicy("create_invoice", stripe()), idem.WithWall(clock.now))
	}
	sent := func(t *testing.T, w *world, c *idem.Client, arrivals int) {
		t.Helper()
		require.ErrorIs(t, do(context.Background(), w.mustBegin(c, 500)).err, idem.ErrInDoubt)
		require.Len(t, w.server.Arrivals(), arrivals)
	}
	t.Run("in one process", func(t *testing.T) {
		t.Parallel()
		w, clock := newWorld(t), &wall{}
		require.NoError(t, w.server.Script(losses(8)...))
		c := clocked(w, clock)
		sent(t, w, c, 4)
		clock.set(passed)
		sent(t, w, c, 8)
		clock.set(passed - back)
		_, err := c.Lookup(context.Background(), w.mustBegin(c, 500).Key())
		require.NoError(t, err)
		clock.set(passed - back + more)
		sent(t, w, c, 8)
	})
	t.Run("while nothing runs", func(t *testing.T) {
		t.Parallel()
		w, clock := newWorld(t), &wall{}
		require.NoError(t, w.server.Script(losses(12)...))
		c := clocked(w, clock)
		sent(t, w, c, 4)
		clock.set(passed)
		sent(t, w, c, 8)
		require.NoError(t, c.Close())
		clock.set(passed - back)
		c = clocked(w, clock)
		sent(t, w, c, 12)
		clock.set(passed - back + more)
		sent(t, w, c, 12)
		require.NoError(t, c.Close())
		sent(t, w, clocked(w, clock), 12)
	})
	t.Run("closed after the jump", func(t *testing.T) {
		t.Parallel()
		w, clock := newWorld(t), &wall{}
		require.NoError(t, w.server.Script(losses(12)...))
		c := clocked(w, clock)
		sent(t, w, c, 4)
		clock.set(passed)
		sent(t, w, c, 8)
		clock.set(passed - back)
		_, err := c.Recover(context.Background())
		require.NoError(t, err)
		require.NoError(t, c.Close())
		arrivals := len(w.server.Arrivals())
		clock.set(passed - back + more)
		sent(t, w, clocked(w, clock), arrivals)
	})
	t.Run("killed after a call", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		require.NoError(t, w.server.Script(losses(12)...))
		p := w.agent(agentArgs{ID: "order-1", Cents: 500})
		w.begin(p)
		for i, ahead := range []time.Duration{0, passed, passed - back} {
			p.tell("wall " + ahead.String())
			p.expect("set")
			p.tell("do")
			require.Contains(t, p.hear(), "in doubt")
			require.Len(t, w.server.Arrivals(), 4*(i+1))
		}
		p.kill()
		clock := &wall{}
		clock.set(passed - back + more)
		sent(t, w, clocked(w, clock), 12)
	})
	t.Run("killed while idle", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		require.NoError(t, w.server.Script(losses(8)...))
		p := w.agent(agentArgs{ID: "order-1", Cents: 500, IdleRelease: 4 * time.Millisecond})
		w.begin(p)
		for _, ahead := range []time.Duration{0, passed} {
			p.tell("wall " + ahead.String())
			p.expect("set")
			p.tell("do")
			require.Contains(t, p.hear(), "in doubt")
		}
		p.tell("wall " + (passed - back).String())
		p.expect("set")
		other := newWitness(t, w.path)
		for ctx := testCtx(t); other.value("user clock offset") == ""; { // until the idle process has noticed
			require.NoError(t, ctx.Err())
		}
		p.kill()
		clock := &wall{}
		clock.set(passed - back + more)
		sent(t, w, clocked(w, clock), 8)
	})
	t.Run("killed while idle, after replays only", func(t *testing.T) {
		t.Parallel()
		w, clock := newWorld(t), &wall{}
		require.NoError(t, w.server.Script(append([]idemtest.Fault{{}}, losses(8)...)...))
		c := clocked(w, clock)
		_, err := c.Do(w.invoice(100), idem.Operation{Name: "create_invoice", ID: "settled"})
		require.NoError(t, err)
		sent(t, w, c, 5)
		require.NoError(t, c.Close())
		p := w.agent(agentArgs{ID: "settled", Cents: 100, Ahead: passed, IdleRelease: 4 * time.Millisecond})
		w.begin(p)
		p.tell("do")
		require.Contains(t, p.hear(), "200")
		p.tell("wall " + (passed - back).String())
		p.expect("set")
		other := newWitness(t, w.path)
		for ctx := testCtx(t); other.value("user clock offset") == ""; { // until the idle process has noticed
			require.NoError(t, ctx.Err())
		}
		p.kill()
		clock.set(passed - back + more)
		sent(t, w, clocked(w, clock), 5)
	})
}

// TestAClockThatJumpsAheadAndBackOnlyShortensAWindow.
func TestAClockThatJumpsAheadAndBackOnlyShortensAWindow(t *testing.T) {
	t.Parallel()
	w, clock := newWorld(t), &wall{}
	require.NoError(t, w.server.Script(losses(8)...))
	c := w.open(idem.WithPolicy("create_invoice", stripe()), idem.WithWall(clock.now))
	in := w.mustBegin(c, 500)
	require.ErrorIs(t, do(context.Background(), in).err, idem.ErrInDoubt)
	clock.set(15 * hour)
	require.ErrorIs(t, do(context.Background(), in).err, idem.ErrInDoubt)
	require.Len(t, w.server.Arrivals(), 8)
	for _, ahead := range []time.Duration{0, 9 * hour, 0, 9 * hour} { // 9 of these hours count twice
		clock.set(ahead)
		do(context.Background(), in)
	}
	require.Equal(t, idem.Succeeded, in.State(), "the first of these calls is inside")
	require.Len(t, w.server.Arrivals(), 9)
	// An intent that begins now begins its own window now.
	late, err := c.Begin(context.Background(), idem.Operation{Name: "create_invoice", ID: "order-2"}, w.invoice(100))
	require.NoError(t, err)
	require.NoError(t, do(context.Background(), late).err)
}

// TestTheStricterRetentionCounts: of what was promised at Begin and what the
// policy promises now.
func TestTheStricterRetentionCounts(t *testing.T) {
	t.Parallel()
	short := stripe()
	short.Contract.Retention = hour
	for name, policies := range map[string][2]idem.Policy{"shorter now": {stripe(), short}, "shorter then": {short, stripe()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, clock := newWorld(t), &wall{}
			require.NoError(t, w.server.Script(losses(4)...))
			c := w.open(idem.WithPolicy("create_invoice", policies[0]), idem.WithWall(clock.now))
			require.ErrorIs(t, do(context.Background(), w.mustBegin(c, 500)).err, idem.ErrInDoubt)
			require.NoError(t, c.Close())
			clock.set(2 * hour)
			c = w.open(idem.WithPolicy("create_invoice", policies[1]), idem.WithWall(clock.now))
			require.ErrorIs(t, do(context.Background(), w.mustBegin(c, 500)).err, idem.ErrInDoubt)
			require.Len(t, w.server.Arrivals(), 4)
		})
	}
}

// TestAPolicyWhoseFirstAttemptDoesNotFitIsRefused when the client is opened.
func TestAPolicyWhoseFirstAttemptDoesNotFitIsRefused(t *testing.T) {
	t.Parallel()
	p := stripe()
	p.Contract.Retention = 21 * time.Second // 20 for the attempt, 2.1 for the margin
	_, err := idem.Open(newPath(t), idem.WithPolicy("create_invoice", p))
	require.ErrorContains(t, err, "create_invoice")
	require.ErrorContains(t, err, "AttemptTimeout")
	p.Contract.Retention = 23 * time.Second
	newClient(t, newPath(t), idem.WithPolicy("create_invoice", p))
}
