package idem_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// The payload's own fields make the ID, however they are spelled, so that a model's
// new call id for the same thing changes nothing; where none of them is there, the
// caller's ID is it.
func TestThePayloadMakesTheIDOfATool(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t))
	ran := 0
	_, err := idem.NewTool(c, "book", idem.Policy{ID: []string{"/order", "/guest/0/name"}},
		func(_ context.Context, _ string, in map[string]any) (int, error) { ran++; return ran, nil })
	require.NoError(t, err)
	for i, step := range []struct {
		id, args string
		gets     int
	}{
		{"call_1", `{"order":7,"guest":[{"name":"Ada"}],"note":"x"}`, 1},
		{"call_2", `{"note":"x","guest":[{"name":"\u0041da"}],"order":7.0}`, 1},
		{"call_3", `{"order":8,"guest":[{"name":"Ada"}]}`, 2},
		{"call_4", `{"order":7,"guest":[{"name":"Bob"}]}`, 3},
		{"call_5", `{"order":"7","guest":[{"name":"Ada"}]}`, 4},
		{"call_6", `{"order":7}`, 5},
		{"call_7", `{"order":7}`, 5},
		{"call_8", `{"note":"neither is there"}`, 6},
		{"call_9", `{"note":"neither is there"}`, 7},
		{"call_8", `{"note":"neither is there"}`, 6},
		{"call_1", `{"order":null}`, 8},
	} {
		out, err := c.Call(testkit.Context(t), "book", step.id, json.RawMessage(step.args))
		require.NoError(t, err, "call %d", i)
		require.Equal(t, fmt.Sprint(step.gets), string(out), "call %d", i)
	}
	_, err = c.Call(testkit.Context(t), "book", "call_10", json.RawMessage(`{"order":7,"guest":[{"name":"Ada"}],"note":"y"}`))
	require.ErrorIs(t, err, idem.ErrMismatch, "the same thing with other values")
	require.ErrorContains(t, err, `"/note"`)
	_, err = c.Call(repeat(testkit.Context(t), "", 1, 0), "book", "call_11", json.RawMessage(`{"order":7,"guest":[{"name":"Ada"}],"note":"y"}`))
	require.NoError(t, err, "an intended repeat")
}

// So does a request's body, JSON or form, through Do and through Transport.
func TestThePayloadMakesTheIDOfARequest(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	p := clientkit.Stripe()
	p.ID = []string{"/metadata/order", "metadata[order]"}
	c := w.Open(idem.WithPolicy("create_invoice", p))
	send := func(contentType, body string, through func(*http.Request) (*http.Response, error)) string {
		req, err := http.NewRequest(http.MethodPost, w.Server.URL()+"/v1/invoices", strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", contentType)
		resp, err := through(req)
		require.NoError(t, err)
		return testkit.BodyOf(t, resp)
	}
	calls := 0
	do := func(req *http.Request) (*http.Response, error) {
		calls++
		return c.Do(req, invoiceOp(fmt.Sprint("call_", calls)))
	}
	transport := func(req *http.Request) (*http.Response, error) {
		return c.Transport(nil).RoundTrip(req.WithContext(idem.WithOperation(testkit.Context(t), invoiceOp(""))))
	}
	form, text := "application/x-www-form-urlencoded", "application/json"
	first := send(form, "amount=500&currency=usd&metadata[order]=7", do)
	require.Equal(t, first, send(form, "metadata%5Border%5D=7&currency=usd&amount=500", do))
	require.Equal(t, first, send(form, "amount=500&currency=usd&metadata[order]=7", transport))
	require.NotEqual(t, first, send(form, "amount=500&currency=usd&metadata[order]=8", do))
	other := send(text, `{"amount":500,"currency":"usd","metadata":{"order":"9"}}`, do)
	require.Equal(t, other, send(text, `{"metadata": {"order": "9"}, "amount": 500, "currency": "usd"}`, transport))
	require.Len(t, w.Server.Effects(), 3)
}

// A key is sent only while one attempt and a margin fit into what is left of the
// far side's retention, counted from a journaled instant; after that it is in
// doubt. Clocks that jump never lengthen that.

const hour = time.Hour

// stepNoticed waits until an idle process has recorded a step of the clock in the
// journal at path.
func stepNoticed(t *testing.T, path string) {
	t.Helper()
	other := testkit.NewWitness(t, path)
	for ctx := testkit.Context(t); other.Value("user clock offset") == ""; {
		require.NoError(t, ctx.Err())
	}
}

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
				w := clientkit.NewWorld(t)
				clock := &clientkit.Wall{}
				c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()), idem.WithClock(clock.Now))
				require.NoError(t, w.Server.Script(losses(4)...))
				in := w.MustBegin(c, 500)
				begun := in.SafeUntil()
				require.ErrorIs(t, clientkit.Do(context.Background(), in).Err, idem.ErrInDoubt)
				clock.Set(ahead)
				w.Server.Advance(ahead)
				if way != "call" {
					require.NoError(t, c.Close())
					c = w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()), idem.WithClock(clock.Now))
				}
				if way == "recover" {
					_, err := c.Recover(context.Background())
					require.NoError(t, err)
				} else {
					clientkit.Do(context.Background(), w.MustBegin(c, 500))
				}
				on, err := c.Lookup(context.Background(), in.Key())
				require.NoError(t, err)
				require.Equal(t, begun, on.SafeUntil(), "an attempt moved the window")
				if inside {
					require.Equal(t, idem.Succeeded, on.State())
					require.Len(t, w.Server.Arrivals(), 5)
				} else {
					require.Equal(t, idem.InDoubt, on.State())
					require.Len(t, w.Server.Arrivals(), 4, "sent past its window")
				}
			})
		}
	}
}

// TestAWindowThatClosesWhileACallWaits: between two attempts of one call.
func TestAWindowThatClosesWhileACallWaits(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]idem.State{clientkit.Lost: idem.InDoubt, http.StatusTooManyRequests: idem.Failed} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			clock := &clientkit.Wall{}
			arrivals := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				arrivals++
				// First the whole request: a client that is still writing looks at its clock.
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					t.Error(err)
				}
				clock.Set(25 * hour)
				if status == clientkit.Lost {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(status)
			}))
			defer server.Close()
			c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("create_invoice", clientkit.Stripe()), idem.WithClock(clock.Now))
			in, err := c.Begin(context.Background(), clientkit.Order(), testkit.NewInvoice(t, server.URL, 500))
			require.NoError(t, err)
			clientkit.Do(context.Background(), in)
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
	w := clientkit.NewWorld(t)
	clock := &clientkit.Wall{}
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()), idem.WithClock(clock.Now))
	in := w.MustBegin(c, 500)
	first := in.SafeUntil()
	clock.Set(30 * hour)
	require.NoError(t, w.Server.Script(losses(4)...))
	require.ErrorIs(t, clientkit.Do(context.Background(), in).Err, idem.ErrInDoubt)
	require.Len(t, w.Server.Arrivals(), 4)
	require.WithinDuration(t, first.Add(30*hour), in.SafeUntil(), 30*time.Second)
	clock.Set(52 * hour)
	require.NoError(t, w.Server.Script(losses(4)...))
	require.ErrorIs(t, clientkit.Do(context.Background(), in).Err, idem.ErrInDoubt)
	require.Len(t, w.Server.Arrivals(), 8, "22 hours after the first attempt it is safe")
	clock.Set(54 * hour)
	require.ErrorIs(t, clientkit.Do(context.Background(), in).Err, idem.ErrInDoubt)
	require.Len(t, w.Server.Arrivals(), 8, "24 hours after the first attempt it is not")
}

// TestAClockThatJumpsBackNeverLengthensAWindow: 20 hours pass, the clock is set
// back by 10, 5 more pass: 25 have passed, whoever looks and however the process
// that noticed the jump ended.
func TestAClockThatJumpsBackNeverLengthensAWindow(t *testing.T) {
	t.Parallel()
	const passed, back, more = 20 * hour, 10 * hour, 5 * hour
	clocked := func(w *clientkit.World, clock *clientkit.Wall) *idem.Client {
		return w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()), idem.WithClock(clock.Now))
	}
	sent := func(t *testing.T, w *clientkit.World, c *idem.Client, arrivals int) {
		t.Helper()
		require.ErrorIs(t, clientkit.Do(context.Background(), w.MustBegin(c, 500)).Err, idem.ErrInDoubt)
		require.Len(t, w.Server.Arrivals(), arrivals)
	}
	t.Run("in one process", func(t *testing.T) {
		t.Parallel()
		w, clock := clientkit.NewWorld(t), &clientkit.Wall{}
		require.NoError(t, w.Server.Script(losses(8)...))
		c := clocked(w, clock)
		sent(t, w, c, 4)
		clock.Set(passed)
		sent(t, w, c, 8)
		clock.Set(passed - back)
		_, err := c.Lookup(context.Background(), w.MustBegin(c, 500).Key())
		require.NoError(t, err)
		clock.Set(passed - back + more)
		sent(t, w, c, 8)
	})
	t.Run("while nothing runs", func(t *testing.T) {
		t.Parallel()
		w, clock := clientkit.NewWorld(t), &clientkit.Wall{}
		require.NoError(t, w.Server.Script(losses(12)...))
		c := clocked(w, clock)
		sent(t, w, c, 4)
		clock.Set(passed)
		sent(t, w, c, 8)
		require.NoError(t, c.Close())
		clock.Set(passed - back)
		c = clocked(w, clock)
		sent(t, w, c, 12)
		clock.Set(passed - back + more)
		sent(t, w, c, 12)
		require.NoError(t, c.Close())
		sent(t, w, clocked(w, clock), 12)
	})
	t.Run("closed after the jump", func(t *testing.T) {
		t.Parallel()
		w, clock := clientkit.NewWorld(t), &clientkit.Wall{}
		require.NoError(t, w.Server.Script(losses(12)...))
		c := clocked(w, clock)
		sent(t, w, c, 4)
		clock.Set(passed)
		sent(t, w, c, 8)
		clock.Set(passed - back)
		_, err := c.Recover(context.Background())
		require.NoError(t, err)
		require.NoError(t, c.Close())
		arrivals := len(w.Server.Arrivals())
		clock.Set(passed - back + more)
		sent(t, w, clocked(w, clock), arrivals)
	})
	t.Run("killed after a call", func(t *testing.T) {
		t.Parallel()
		w := clientkit.NewWorld(t)
		require.NoError(t, w.Server.Script(losses(12)...))
		p := w.Agent(clientkit.AgentArgs{ID: "order-1", Cents: 500})
		w.Begin(p)
		for i, ahead := range []time.Duration{0, passed, passed - back} {
			p.Tell("wall " + ahead.String())
			p.Expect("set")
			p.Tell("do")
			require.Contains(t, p.Hear(), "in doubt")
			require.Len(t, w.Server.Arrivals(), 4*(i+1))
		}
		p.Kill()
		clock := &clientkit.Wall{}
		clock.Set(passed - back + more)
		sent(t, w, clocked(w, clock), 12)
	})
	t.Run("killed while idle", func(t *testing.T) {
		t.Parallel()
		w := clientkit.NewWorld(t)
		require.NoError(t, w.Server.Script(losses(8)...))
		p := w.Agent(clientkit.AgentArgs{ID: "order-1", Cents: 500, IdleRelease: 4 * time.Millisecond})
		w.Begin(p)
		for _, ahead := range []time.Duration{0, passed} {
			p.Tell("wall " + ahead.String())
			p.Expect("set")
			p.Tell("do")
			require.Contains(t, p.Hear(), "in doubt")
		}
		p.Tell("wall " + (passed - back).String())
		p.Expect("set")
		stepNoticed(t, w.Path)
		p.Kill()
		clock := &clientkit.Wall{}
		clock.Set(passed - back + more)
		sent(t, w, clocked(w, clock), 8)
	})
	t.Run("killed while idle, after replays only", func(t *testing.T) {
		t.Parallel()
		w, clock := clientkit.NewWorld(t), &clientkit.Wall{}
		require.NoError(t, w.Server.Script(append([]idemtest.Fault{{}}, losses(8)...)...))
		c := clocked(w, clock)
		_, err := c.Do(w.Invoice(100), idem.Operation{Name: "create_invoice", ID: "settled"})
		require.NoError(t, err)
		sent(t, w, c, 5)
		require.NoError(t, c.Close())
		p := w.Agent(clientkit.AgentArgs{ID: "settled", Cents: 100, Ahead: passed, IdleRelease: 4 * time.Millisecond})
		w.Begin(p)
		p.Tell("do")
		require.Contains(t, p.Hear(), "200")
		p.Tell("wall " + (passed - back).String())
		p.Expect("set")
		stepNoticed(t, w.Path)
		p.Kill()
		clock.Set(passed - back + more)
		sent(t, w, clocked(w, clock), 5)
	})
}

// TestAClockThatJumpsAheadAndBackOnlyShortensAWindow.
func TestAClockThatJumpsAheadAndBackOnlyShortensAWindow(t *testing.T) {
	t.Parallel()
	w, clock := clientkit.NewWorld(t), &clientkit.Wall{}
	require.NoError(t, w.Server.Script(losses(8)...))
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()), idem.WithClock(clock.Now))
	in := w.MustBegin(c, 500)
	require.ErrorIs(t, clientkit.Do(context.Background(), in).Err, idem.ErrInDoubt)
	clock.Set(15 * hour)
	require.ErrorIs(t, clientkit.Do(context.Background(), in).Err, idem.ErrInDoubt)
	require.Len(t, w.Server.Arrivals(), 8)
	for _, ahead := range []time.Duration{0, 9 * hour, 0, 9 * hour} { // 9 of these hours count twice
		clock.Set(ahead)
		clientkit.Do(context.Background(), in)
	}
	require.Equal(t, idem.Succeeded, in.State(), "the first of these calls is inside")
	require.Len(t, w.Server.Arrivals(), 9)
	// An intent that begins now begins its own window now.
	late, err := c.Begin(context.Background(), idem.Operation{Name: "create_invoice", ID: "order-2"}, w.Invoice(100))
	require.NoError(t, err)
	require.NoError(t, clientkit.Do(context.Background(), late).Err)
}

// TestTheStricterRetentionCounts: of what was promised at Begin and what the
// policy promises now.
func TestTheStricterRetentionCounts(t *testing.T) {
	t.Parallel()
	short := clientkit.Stripe()
	short.Contract.Retention = hour
	for name, policies := range map[string][2]idem.Policy{"shorter now": {clientkit.Stripe(), short}, "shorter then": {short, clientkit.Stripe()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, clock := clientkit.NewWorld(t), &clientkit.Wall{}
			require.NoError(t, w.Server.Script(losses(4)...))
			c := w.Open(idem.WithPolicy("create_invoice", policies[0]), idem.WithClock(clock.Now))
			require.ErrorIs(t, clientkit.Do(context.Background(), w.MustBegin(c, 500)).Err, idem.ErrInDoubt)
			require.NoError(t, c.Close())
			clock.Set(2 * hour)
			c = w.Open(idem.WithPolicy("create_invoice", policies[1]), idem.WithClock(clock.Now))
			require.ErrorIs(t, clientkit.Do(context.Background(), w.MustBegin(c, 500)).Err, idem.ErrInDoubt)
			require.Len(t, w.Server.Arrivals(), 4)
		})
	}
}

// TestAPolicyWhoseFirstAttemptDoesNotFitIsRefused when the client is opened.
func TestAPolicyWhoseFirstAttemptDoesNotFitIsRefused(t *testing.T) {
	t.Parallel()
	p := clientkit.Stripe()
	p.Contract.Retention = 21 * time.Second // 20 for the attempt, 2.1 for the margin
	_, err := idem.Open(testkit.NewPath(t), idem.WithPolicy("create_invoice", p))
	require.ErrorContains(t, err, "create_invoice")
	require.ErrorContains(t, err, "AttemptTimeout")
	p.Contract.Retention = 23 * time.Second
	clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("create_invoice", p))
}
