package idem_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// A refusal that comes after an attempt that may have had its effect proves nothing
// about that attempt: the intent is in doubt, never failed, whatever the refusal is.

// scripted is a server that does a step for each request, and the last one for
// all that follow.
func scripted(t *testing.T, steps ...clientkit.Step) (url string, arrivals *atomic.Int64) {
	arrivals = new(atomic.Int64)
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrivals.Add(1)
		var body [1024]byte
		for {
			if _, err := r.Body.Read(body[:]); err != nil {
				break
			}
		}
		mu.Lock()
		now := steps[0]
		if len(steps) > 1 {
			steps = steps[1:]
		}
		mu.Unlock()
		if now.Status == clientkit.Lost {
			panic(http.ErrAbortHandler)
		}
		for name, values := range now.Header {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(now.Status)
		fmt.Fprintf(w, `{"answer":%d}`, now.Status)
	}))
	t.Cleanup(s.Close)
	return s.URL, arrivals
}

// TestARefusalAfterALostReplyIsInDoubt, by status, in one call and in two. No
// status of a plain reply proves anything about the attempt before.
func TestARefusalAfterALostReplyIsInDoubt(t *testing.T) {
	t.Parallel()
	for _, status := range []int{302, 400, 401, 402, 403, 404, 405, 408, 409, 410, 412, 422, 425, 429, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			url, arrivals := scripted(t, clientkit.Step{Status: clientkit.Lost}, clientkit.Step{Status: status})
			c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("create_invoice", clientkit.Stripe()))
			in, err := c.Begin(context.Background(), clientkit.Order(), testkit.NewInvoice(t, url, 500))
			require.NoError(t, err)
			requireDoubt(t, c, in)
			require.GreaterOrEqual(t, arrivals.Load(), int64(2))
		})
		t.Run(fmt.Sprint(status, " in the next call"), func(t *testing.T) {
			t.Parallel()
			url, _ := scripted(t, clientkit.Step{Status: clientkit.Lost}, clientkit.Step{Status: status})
			once := clientkit.Stripe()
			once.Retry.MaxAttempts = 1
			c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("create_invoice", once))
			in, err := c.Begin(context.Background(), clientkit.Order(), testkit.NewInvoice(t, url, 500))
			require.NoError(t, err)
			requireDoubt(t, c, in)
			again, err := c.Begin(context.Background(), clientkit.Order(), testkit.NewInvoice(t, url, 500))
			require.NoError(t, err)
			require.Equal(t, in.Key(), again.Key())
			requireDoubt(t, c, again)
			require.Equal(t, 2, again.Attempts())
		})
	}
}

// requireDoubt carries an intent out: it is in doubt, here and on disk, and its
// payload cannot be exchanged for another.
func requireDoubt(t *testing.T, c *idem.Client, in *idem.Intent) {
	t.Helper()
	got := clientkit.Do(context.Background(), in)
	require.ErrorIs(t, got.Err, idem.ErrInDoubt)
	require.Zero(t, got.Status)
	require.Equal(t, idem.InDoubt, in.State())
	on, err := c.Lookup(context.Background(), in.Key())
	require.NoError(t, err)
	require.Equal(t, idem.InDoubt, on.State())
	req, err := http.NewRequest(http.MethodPost, "http://"+net.JoinHostPort("127.0.0.1", "1")+"/", nil)
	require.NoError(t, err)
	_, err = c.Begin(context.Background(), in.Operation(), req)
	require.ErrorIs(t, err, idem.ErrMismatch, "a new key would be a second effect")
}

// The same on the strict server, which has acted: every refusal that stands in
// front of it, the reply before it lost. When the way is free again, the same key
// finds what was done.
func TestARefusalAfterAnEffectIsInDoubt(t *testing.T) {
	t.Parallel()
	for _, refusal := range []idemtest.FaultKind{
		idemtest.Unauthorized401, idemtest.Forbidden403, idemtest.RequestTimeout408, idemtest.TooEarly425,
		idemtest.TooManyBare, idemtest.TooMany, idemtest.InFlightForced, idemtest.MismatchForced,
		idemtest.Redirect302, idemtest.Redirect307, idemtest.Redirect303, idemtest.Redirect307Other,
		idemtest.Error500Before, idemtest.Proxy502Before, idemtest.Unavailable503, idemtest.CaptivePortal,
	} {
		for _, first := range []idemtest.FaultKind{idemtest.DropAfter, idemtest.CutBody, idemtest.GatewayTime504, idemtest.DropBefore} {
			t.Run(first.String()+" then "+refusal.String(), func(t *testing.T) {
				t.Parallel()
				w := clientkit.NewWorld(t)
				p := clientkit.Stripe()
				p.Retry.MaxAttempts = 2
				c := w.Open(idem.WithPolicy("create_invoice", p))
				require.NoError(t, w.Server.Script(faults(first, refusal)...))
				in := w.MustBegin(c, 500)
				requireDoubt(t, c, in)
				require.Len(t, w.Server.Arrivals(), 2)

				again := w.MustBegin(c, 500)
				got := clientkit.Do(context.Background(), again)
				require.NoError(t, got.Err)
				require.Equal(t, w.Object(in.Key()), got.Body)
				require.Equal(t, in.Key(), again.Key())
				require.Len(t, w.Server.Effects(), 1)
			})
		}
	}
}

// An attempt that is provably not sent settles nothing either, once an earlier one
// may have had its effect: the server is gone, or the credentials are.
func TestNotSentAfterALostReplyIsInDoubt(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{true, false} {
		t.Run(map[bool]string{true: "connection refused", false: "not authorized"}[gone], func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			require.NoError(t, w.Server.Script(faults(idemtest.DropAfter)...))
			p := clientkit.Stripe()
			allow, attempts := p.Authorize, 0
			p.Authorize = func(r *http.Request) error {
				if attempts++; attempts == 1 {
					return allow(r)
				}
				if gone {
					return w.Server.Close()
				}
				return context.DeadlineExceeded
			}
			c := w.Open(idem.WithPolicy("create_invoice", p))
			in := w.MustBegin(c, 500)
			requireDoubt(t, c, in)
			require.Len(t, w.Server.Arrivals(), 1)
			require.Equal(t, 4, in.Attempts())
			require.Len(t, w.Server.Effects(), 1)
		})
	}
}

// A dead owner's silence is an attempt that may have had its effect: a refusal
// that meets the one who takes over is no failure.
func TestARefusalAfterATakeOverIsInDoubt(t *testing.T) {
	t.Parallel()
	for _, refusal := range []idemtest.FaultKind{idemtest.Unauthorized401, idemtest.TooManyBare, idemtest.MismatchForced, idemtest.InFlightForced} {
		for _, sent := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v sent=%v", refusal, sent), func(t *testing.T) {
				t.Parallel()
				w := clientkit.NewWorld(t)
				args := clientkit.AgentArgs{ID: "order-1", Cents: 500}
				if sent {
					w.KillAfterEffect(args)
				} else {
					agent := w.Agent(args)
					w.Begin(agent)
					agent.Kill()
				}
				require.NoError(t, w.Server.Script(faults(refusal)...))
				p := clientkit.Stripe()
				p.Retry.MaxAttempts = 1
				c := w.Open(idem.WithPolicy("create_invoice", p))
				requireDoubt(t, c, w.MustBegin(c, 500))
				got := clientkit.Do(context.Background(), w.MustBegin(c, 500))
				require.NoError(t, got.Err)
				require.Equal(t, sent, got.Replayed)
				require.Len(t, w.Server.Effects(), 1)
			})
		}
	}
}

// A reply that the contract marks as stored was decided after the key was looked
// up: it speaks for every attempt of the key, so a refusal is one.
func TestAStoredRefusalAfterALostReplyIsAFailure(t *testing.T) {
	t.Parallel()
	stored := http.Header{"Idempotent-Replayed": {"true"}}
	url, arrivals := scripted(t, clientkit.Step{Status: clientkit.Lost}, clientkit.Step{Status: 400, Header: stored})
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("create_invoice", clientkit.Stripe()))
	in, err := c.Begin(context.Background(), clientkit.Order(), testkit.NewInvoice(t, url, 500))
	require.NoError(t, err)
	got := clientkit.Do(context.Background(), in)
	require.NoError(t, got.Err)
	require.Equal(t, 400, got.Status)
	require.True(t, got.Replayed)
	require.Equal(t, idem.Failed, in.State())
	require.Equal(t, int64(2), arrivals.Load())
}

// With a clean history the same refusals are failures: that is what makes them
// useful to an agent.
func TestARefusalWithACleanHistoryIsAFailure(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 402, 403, 404, 405, 406, 410, 411, 413, 414, 415, 417, 421, 422, 425, 426, 428, 429, 431} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			url, _ := scripted(t, clientkit.Step{Status: status})
			c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("create_invoice", clientkit.Stripe()))
			in, err := c.Begin(context.Background(), clientkit.Order(), testkit.NewInvoice(t, url, 500))
			require.NoError(t, err)
			got := clientkit.Do(context.Background(), in)
			require.NoError(t, got.Err)
			require.Equal(t, status, got.Status)
			require.Equal(t, idem.Failed, in.State())
		})
	}
}

// TestARefusalInPassingThatIsOld: it was refused for a passing reason, so nothing
// had happened, and its key's time is over. It is not in doubt, and asked for again
// it is done, under a new key; who still holds the old intent gets the refusal.
func TestARefusalInPassingThatIsOld(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	require.NoError(t, w.Server.Script(faults(idemtest.Forbidden403)...))
	clock := &clientkit.Wall{}
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()), idem.WithClock(clock.Now))
	first := w.MustBegin(c, 500)
	require.Equal(t, 403, clientkit.Do(context.Background(), first).Status)
	require.Equal(t, idem.Failed, first.State())

	clock.Set(25 * time.Hour)
	require.Equal(t, 403, clientkit.Do(context.Background(), first).Status)
	require.Len(t, w.Server.Arrivals(), 1)
	second := w.MustBegin(c, 500)
	require.NotEqual(t, first.Key(), second.Key())
	require.Equal(t, 200, clientkit.Do(context.Background(), second).Status)
	require.Len(t, w.Server.Effects(), 1)
	again := w.MustBegin(c, 500)
	require.Equal(t, second.Key(), again.Key())
	require.Equal(t, 200, clientkit.Do(context.Background(), again).Status)
	require.Len(t, w.Server.Arrivals(), 2)
}

// The outcome is that of the last settlement. An intent that was refused for a
// passing reason, tried again, left in doubt and then resolved has the resolution
// for its outcome, and not the refusal of long ago.
func TestAResolutionReplacesAnOlderRefusal(t *testing.T) {
	t.Parallel()
	for _, happened := range []bool{false, true} {
		w := clientkit.NewWorld(t)
		p := clientkit.PolicyOf(idem.Contract{})
		p.Retry.MaxAttempts = 1
		c := w.Open(idem.WithPolicy("charge", p))
		op := idem.Operation{Name: "charge", ID: "order-1"}

		require.NoError(t, w.Server.Script(idemtest.Fault{Kind: idemtest.TooManyBare}))
		resp, err := c.Do(w.Invoice(500), op)
		require.NoError(t, err)
		require.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
		testkit.BodyOf(t, resp)

		lost, answer := idemtest.DropBefore, idem.Resolution{State: idem.Failed, Note: "looked there"}
		if happened {
			lost, answer.State = idemtest.DropAfter, idem.Succeeded
		}
		require.NoError(t, w.Server.Script(idemtest.Fault{Kind: lost}))
		_, err = c.Do(w.Invoice(500), op)
		var doubt *idem.InDoubtError
		require.ErrorAs(t, err, &doubt)

		require.NoError(t, c.Resolve(testkit.Context(t), doubt.Key, answer))
		in, err := c.Lookup(testkit.Context(t), doubt.Key)
		require.NoError(t, err)
		require.Empty(t, in.Outcome())
		resp, err = c.Do(w.Invoice(500), op)
		require.Nil(t, resp)
		if happened {
			require.ErrorIs(t, err, idem.ErrForgotten)
		} else {
			require.ErrorIs(t, err, idem.ErrRefused)
		}
	}
}

// An intended repeat is an intent of its own, with its own key: never taken for the
// first, and done once like any other.
func TestARepeatIsAnotherIntent(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
	keys := map[string]bool{}
	for _, round := range []string{"first", "asked again"} {
		for repeat := range 3 {
			op := clientkit.Order()
			op.Repeat = repeat
			in, err := c.Begin(testkit.Context(t), op, w.Invoice(500))
			require.NoError(t, err)
			got := clientkit.Do(testkit.Context(t), in)
			require.NoError(t, got.Err)
			require.Equal(t, round == "asked again", got.Replayed, "repeat %d", repeat)
			require.Equal(t, repeat, in.Operation().Repeat)
			keys[in.Key()] = true
		}
	}
	require.Len(t, keys, 3)
	require.Len(t, w.Server.Effects(), 3)
}
