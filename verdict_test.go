package idem_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// What one attempt proves. Failed means that nothing happened, so whatever is not
// proof of that is in doubt, and whatever is no proof of success is no success.

// ask makes one call and tells where its intent stands then.
func ask(t testing.TB, c *idem.Client, req *http.Request, id string) (*idem.Intent, clientkit.Answer) {
	t.Helper()
	in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: id}, req)
	require.NoError(t, err)
	return in, clientkit.Do(testkit.Context(t), in)
}

// silent is the HTTPS address of a listener that takes connections and says nothing.
func silent(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return "https://" + l.Addr().String()
}

// Every status by itself, on a clean history, without a contract that says more.
func TestStatusesWithoutAContract(t *testing.T) {
	t.Parallel()
	const succeeded, failed, doubt = idem.Succeeded, idem.Failed, idem.InDoubt
	want := map[int]idem.State{}
	for status := 200; status < 600; status++ {
		want[status] = doubt // what the table does not name proves nothing
	}
	for _, status := range []int{200, 201, 202, 204} {
		want[status] = succeeded
	}
	for _, status := range []int{400, 401, 402, 403, 404, 405, 406, 410, 411, 413, 414, 415, 417, 421, 422, 425, 426, 428, 429, 431} {
		want[status] = failed
	}
	var now atomic.Int32
	f := newFarSide(t, func(n int, w http.ResponseWriter) {
		status := int(now.Load())
		w.Header().Set("Content-Type", testkit.JSON)
		w.WriteHeader(status)
		if status >= 200 && status != 204 && status != 304 {
			fmt.Fprintf(w, `{"status":%d}`, status)
		}
	})
	p := clientkit.PromisesNothing()
	p.Retry.MaxAttempts = 1
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", p))
	for status := range want {
		now.Store(int32(status))
		in, got := ask(t, c, testkit.NewInvoice(t, f.URL, 500), fmt.Sprint(status))
		require.Equal(t, want[status], in.State(), "status %d: %v", status, got.Err)
		switch want[status] {
		case doubt:
			require.ErrorIs(t, got.Err, idem.ErrInDoubt)
			require.Zero(t, got.Status)
		default:
			require.NoError(t, got.Err)
			require.Equal(t, status, got.Status, "a refusal is an outcome too")
		}
	}
	require.Len(t, f.arrivals(), len(want), "each once")
}

// A refusal for a passing reason is tried again by the next call under the same
// key; one for good is handed out again.
func TestPassingAndLastingRefusals(t *testing.T) {
	t.Parallel()
	for status, passing := range map[int]bool{401: true, 403: true, 425: true, 429: true, 400: false, 402: false, 404: false, 422: false} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			p := clientkit.Stripe()
			p.Contract.Verdict = nil
			p.Retry.MaxAttempts = 1
			f := newFarSide(t, func(n int, w http.ResponseWriter) {
				if n == 1 {
					says(w, status, `{}`)
				} else {
					says(w, 200, `{}`)
				}
			})
			c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", p))
			first, got := ask(t, c, testkit.NewInvoice(t, f.URL, 500), "1")
			require.NoError(t, got.Err)
			require.Equal(t, status, got.Status)
			again, got := ask(t, c, testkit.NewInvoice(t, f.URL, 500), "1")
			require.NoError(t, got.Err)
			require.Equal(t, first.Key(), again.Key())
			if passing {
				require.Equal(t, 200, got.Status)
				require.Len(t, f.arrivals(), 2)
			} else {
				require.Equal(t, status, got.Status)
				require.True(t, got.Replayed)
				require.Len(t, f.arrivals(), 1)
			}
		})
	}
}

// Positive proof that nothing was written: no name, no listener, no trust, no
// connection in time. It is tried again, and given up it is Failed, not in doubt.
func TestNotSent(t *testing.T) {
	t.Parallel()
	s := clientkit.NewServer(t)
	for name, url := range map[string]string{
		"refused": s.RefusedURL(), "no such host": s.NoSuchHostURL(), "bad certificate": s.TLSBadCertURL(),
		"plain text to TLS": strings.Replace(s.URL(), "http://", "https://", 1),
	} {
		for promise, p := range map[string]idem.Policy{"keys kept": clientkit.Stripe(), "no contract": clientkit.PromisesNothing()} {
			t.Run(name+" "+promise, func(t *testing.T) {
				t.Parallel()
				p.Retry.MaxAttempts = 2
				c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", p))
				in, got := ask(t, c, testkit.NewInvoice(t, url, 500), "1")
				require.ErrorIs(t, got.Err, idem.ErrNotSent)
				require.NotErrorIs(t, got.Err, idem.ErrInDoubt)
				require.ErrorContains(t, got.Err, "charge 1")
				require.ErrorContains(t, got.Err, "the same call may be made again")
				require.Equal(t, idem.Failed, in.State())
				require.Zero(t, in.FirstSent())
				require.Equal(t, 2, in.Attempts())
			})
		}
	}
	t.Run("a listener that never shakes hands", func(t *testing.T) {
		t.Parallel()
		p := clientkit.PromisesNothing()
		p.Retry.MaxAttempts, p.Retry.AttemptTimeout = 1, 50*time.Millisecond
		c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", p))
		in, got := ask(t, c, testkit.NewInvoice(t, silent(t), 500), "1")
		require.ErrorIs(t, got.Err, idem.ErrNotSent)
		require.ErrorIs(t, got.Err, context.DeadlineExceeded)
		require.Zero(t, in.FirstSent())
	})
	require.Empty(t, s.Arrivals())
}

// A trace callback that never came proves nothing: a transport that tells nothing
// of its connections may have sent.
func TestTransportThatTellsNothing(t *testing.T) {
	t.Parallel()
	for name, base := range map[string]clientkit.RoundTrip{
		"an error of its own":     func(*http.Request) (*http.Response, error) { return nil, errReader },
		"what looks like no dial": func(*http.Request) (*http.Response, error) { return nil, errors.New("dial tcp: connection refused") },
		"a context of its own": func(r *http.Request) (*http.Response, error) {
			resp, err := http.DefaultTransport.RoundTrip(r.Clone(context.Background()))
			if err == nil {
				resp.Body.Close()
				err = errReader
			}
			return nil, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := clientkit.NewServer(t)
			c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", clientkit.PromisesNothing()), idem.WithTransport(base))
			in, got := ask(t, c, testkit.NewInvoice(t, s.URL(), 500), "1")
			require.ErrorIs(t, got.Err, idem.ErrInDoubt)
			require.Equal(t, 1, in.Attempts())
			require.NotZero(t, in.FirstSent())
		})
	}
}

// A reply that is cut, garbled or never ends is no reply, whatever its status says:
// asked again under the key it is the outcome, without keys it is in doubt.
func TestRepliesThatAreNotWhole(t *testing.T) {
	t.Parallel()
	for _, f := range []idemtest.Fault{
		{Kind: idemtest.CutBody}, {Kind: idemtest.CutBody, After: 1}, {Kind: idemtest.CutChunked}, {Kind: idemtest.WrongLength},
		{Kind: idemtest.Garbage}, {Kind: idemtest.HugeHeaders}, {Kind: idemtest.EndlessBody, Size: 3 << 20},
		{Kind: idemtest.DropAfter}, {Kind: idemtest.ResetAfter}, {Kind: idemtest.StaleAfter},
		{Kind: idemtest.Proxy502After}, {Kind: idemtest.GatewayTime504}, {Kind: idemtest.Error500After},
	} {
		for name, p := range map[string]idem.Policy{"keys kept": clientkit.Stripe(), "no contract": clientkit.PromisesNothing()} {
			t.Run(fmt.Sprint(f.Kind, f.After, " ", name), func(t *testing.T) {
				t.Parallel()
				w := clientkit.NewWorld(t)
				require.NoError(t, w.Server.Script(f))
				c := w.Open(idem.WithPolicy("*", p), idem.WithMaxReply(1<<20))
				in, got := ask(t, c, w.Invoice(500), "1")
				if name == "no contract" || f.Kind == idemtest.Error500After {
					require.ErrorIs(t, got.Err, idem.ErrInDoubt)
					require.NotErrorIs(t, got.Err, idem.ErrOutcomeTruncated)
				} else {
					require.NoError(t, got.Err)
					require.Equal(t, w.Object(in.Key()), got.Body)
					require.True(t, got.Replayed, "the far side says so")
				}
				require.Len(t, w.Server.Effects(), 1)
			})
		}
	}
}

// A body that never ends is bounded by AttemptTimeout.
func TestEndlessReply(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	require.NoError(t, w.Server.Script(faults(idemtest.EndlessBody)...))
	p := clientkit.PromisesNothing()
	p.Retry.AttemptTimeout = time.Second
	c := w.Open(idem.WithPolicy("*", p), idem.WithMaxReply(1<<20))
	in, got := ask(t, c, w.Invoice(500), "1")
	require.ErrorIs(t, got.Err, idem.ErrInDoubt)
	require.ErrorIs(t, got.Err, context.DeadlineExceeded)
	require.Equal(t, "timeout", in.History()[len(in.History())-1].Reason)
}

// Whole replies in unusual dress are replies.
func TestUnusualReplies(t *testing.T) {
	t.Parallel()
	for _, kind := range []idemtest.FaultKind{idemtest.Informational, idemtest.Trailers, idemtest.Empty200, idemtest.SlowReply, idemtest.Duplicate} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			require.NoError(t, w.Server.Script(faults(kind)...))
			c := w.Open(idem.WithPolicy("*", clientkit.PromisesNothing()))
			in, got := ask(t, c, w.Invoice(500), "1")
			require.NoError(t, got.Err)
			require.Equal(t, 200, got.Status)
			require.Equal(t, w.Server.Keys()[0].Body, []byte(got.Body))
			require.Equal(t, idem.Succeeded, in.State())
		})
	}
}
