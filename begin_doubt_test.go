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

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/stretchr/testify/require"
)

// Failed means that nothing happened. A refusal that comes after an attempt that
// may have had its effect proves nothing about that attempt: in doubt, never
// failed, whatever the refusal is. This is where naive clients lose money.

// lost is a step of a script: the connection is closed without a reply, after the
// request was read whole.
const lost = 0

// step is one reply of a scripted server.
type step struct {
	status int
	header http.Header
}

// scripted is a server that does a step for each request, and the last one for
// all that follow.
func scripted(t *testing.T, steps ...step) (url string, arrivals *atomic.Int64) {
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
		if now.status == lost {
			panic(http.ErrAbortHandler)
		}
		for name, values := range now.header {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(now.status)
		fmt.Fprintf(w, `{"answer":%d}`, now.status)
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
			url, arrivals := scripted(t, step{status: lost}, step{status: status})
			c := newClient(t, newPath(t), idem.WithPolicy("create_invoice", stripe()))
			in, err := c.Begin(context.Background(), order(), newInvoice(t, url, 500))
			require.NoError(t, err)
			requireDoubt(t, c, in)
			require.GreaterOrEqual(t, arrivals.Load(), int64(2))
		})
		t.Run(fmt.Sprint(status, " in the next call"), func(t *testing.T) {
			t.Parallel()
			url, _ := scripted(t, step{status: lost}, step{status: status})
			once := stripe()
			once.Retry.MaxAttempts = 1
			c := newClient(t, newPath(t), idem.WithPolicy("create_invoice", once))
			in, err := c.Begin(context.Background(), order(), newInvoice(t, url, 500))
			require.NoError(t, err)
			requireDoubt(t, c, in)
			again, err := c.Begin(context.Background(), order(), newInvoice(t, url, 500))
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
	got := do(context.Background(), in)
	require.ErrorIs(t, got.err, idem.ErrInDoubt)
	require.Zero(t, got.status)
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
				w := newWorld(t)
				p := stripe()
				p.Retry.MaxAttempts = 2
				c := w.open(idem.WithPolicy("create_invoice", p))
				require.NoError(t, w.server.Script(faults(first, refusal)...))
				in := w.mustBegin(c, 500)
				requireDoubt(t, c, in)
				require.Len(t, w.server.Arrivals(), 2)

				again := w.mustBegin(c, 500)
				got := do(context.Background(), again)
				require.NoError(t, got.err)
				require.Equal(t, w.object(in.Key()), got.body)
				require.Equal(t, in.Key(), again.Key())
				require.Len(t, w.server.Effects(), 1)
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
			w := newWorld(t)
			require.NoError(t, w.server.Script(faults(idemtest.DropAfter)...))
			p := stripe()
			allow, attempts := p.Authorize, 0
			p.Authorize = func(r *http.Request) error {
				if attempts++; attempts == 1 {
					return allow(r)
				}
				if gone {
					return w.server.Close()
				}
				return context.DeadlineExceeded
			}
			c := w.open(idem.WithPolicy("create_invoice", p))
			in := w.mustBegin(c, 500)
			requireDoubt(t, c, in)
			require.Len(t, w.server.Arrivals(), 1)
			require.Equal(t, 4, in.Attempts())
			require.Len(t, w.server.Effects(), 1)
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
				w := newWorld(t)
				args := agentArgs{ID: "order-1", Cents: 500}
				if sent {
					w.killAfterEffect(args)
				} else {
					agent := w.agent(args)
					w.begin(agent)
					agent.kill()
				}
				require.NoError(t, w.server.Script(faults(refusal)...))
				p := stripe()
				p.Retry.MaxAttempts = 1
				c := w.open(idem.WithPolicy("create_invoice", p))
				requireDoubt(t, c, w.mustBegin(c, 500))
				got := do(context.Background(), w.mustBegin(c, 500))
				require.NoError(t, got.err)
				require.Equal(t, sent, got.replayed)
				require.Len(t, w.server.Effects(), 1)
			})
		}
	}
}

// A reply that the contract marks as stored was decided after the key was looked
// up: it speaks for every attempt of the key, so a refusal is one.
func TestAStoredRefusalAfterALostReplyIsAFailure(t *testing.T) {
	t.Parallel()
	stored := http.Header{"Idempotent-Replayed": {"true"}}
	url, arrivals := scripted(t, step{status: lost}, step{status: 400, header: stored})
	c := newClient(t, newPath(t), idem.WithPolicy("create_invoice", stripe()))
	in, err := c.Begin(context.Background(), order(), newInvoice(t, url, 500))
	require.NoError(t, err)
	got := do(context.Background(), in)
	require.NoError(t, got.err)
	require.Equal(t, 400, got.status)
	require.True(t, got.replayed)
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
			url, _ := scripted(t, step{status: status})
			c := newClient(t, newPath(t), idem.WithPolicy("create_invoice", stripe()))
			in, err := c.Begin(context.Background(), order(), newInvoice(t, url, 500))
			require.NoError(t, err)
			got := do(context.Background(), in)
			require.NoError(t, got.err)
			require.Equal(t, status, got.status)
			require.Equal(t, idem.Failed, in.State())
		})
	}
}
