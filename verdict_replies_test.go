package idem_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// Replies that look like something they are not, and what they prove.

// A page in HTML where JSON was asked for comes from a portal or a proxy: no
// success, nor a refusal.
func TestCaptivePortal(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]idem.Policy{"keys kept": clientkit.Stripe(), "no contract": clientkit.PromisesNothing()} {
		w := clientkit.NewWorld(t)
		require.NoError(t, w.Server.Script(faults(idemtest.CaptivePortal)...))
		c := w.Open(idem.WithPolicy("*", p))
		req := w.Invoice(500)
		req.Header.Set("Accept", "application/json")
		in, got := ask(t, c, req, "1")
		if name == "no contract" {
			require.ErrorIs(t, got.Err, idem.ErrInDoubt)
			continue
		}
		require.NoError(t, got.Err)
		require.Equal(t, w.Object(in.Key()), got.Body)
	}
	f := newFarSide(t, func(n int, w http.ResponseWriter) {
		w.Header().Set("Content-Type", " Text/HTML; charset=utf-8")
		fmt.Fprint(w, "<html>sign in</html>")
	})
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", clientkit.PromisesNothing()))
	for i, x := range []struct {
		accept, contentType string
		state               idem.State
	}{
		{"", testkit.JSON, idem.InDoubt},
		{"*/*", testkit.JSON, idem.InDoubt},
		{"application/vnd.api+json", testkit.Form, idem.InDoubt},
		{"text/html", testkit.JSON, idem.Succeeded},
		{"text/html, application/json;q=0.9", testkit.JSON, idem.Succeeded},
		{"", testkit.Form, idem.Succeeded}, // nobody asked for JSON
	} {
		req := testkit.NewInvoice(t, f.URL, 500)
		req.Header.Set("Accept", x.accept)
		req.Header.Set("Content-Type", x.contentType)
		in, _ := ask(t, c, req, fmt.Sprint(i))
		require.Equal(t, x.state, in.State(), "%+v", x)
	}
}

// The meanings of 409 are kept apart: in flight is waited for, a mismatch is loud
// and in doubt, a business conflict proves nothing by itself, and after an unknown
// attempt it may be our own earlier success.
func TestConflicts(t *testing.T) {
	t.Parallel()
	t.Run("in flight", func(t *testing.T) {
		t.Parallel()
		w := clientkit.NewWorld(t)
		require.NoError(t, w.Server.Script(faults(idemtest.InFlightForced, idemtest.InFlightForced)...))
		_, got := ask(t, w.Open(idem.WithPolicy("*", clientkit.Stripe())), w.Invoice(500), "1")
		require.NoError(t, got.Err)
		require.Equal(t, 200, got.Status)
		require.Len(t, w.Server.Arrivals(), 3)
	})
	t.Run("in flight, really", func(t *testing.T) {
		t.Parallel()
		w := clientkit.NewWorld(t)
		p := clientkit.Stripe()
		p.Retry.MaxAttempts = 1000
		require.NoError(t, w.Server.Script(idemtest.Fault{Kind: idemtest.InFlightOverlap, Delay: 20 * time.Millisecond}))
		in, got := ask(t, w.Open(idem.WithPolicy("*", p)), w.Invoice(500), "1")
		require.NoError(t, got.Err)
		require.Equal(t, w.Object(in.Key()), got.Body)
		require.Len(t, w.Server.Effects(), 1)
	})
	t.Run("mismatch", func(t *testing.T) {
		t.Parallel()
		w := clientkit.NewWorld(t)
		var log bytes.Buffer
		require.NoError(t, w.Server.Script(faults(idemtest.MismatchForced)...))
		c := w.Open(idem.WithPolicy("*", clientkit.Stripe()), idem.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		in, got := ask(t, c, w.Invoice(500), "1")
		require.ErrorIs(t, got.Err, idem.ErrInDoubt)
		require.NotErrorIs(t, got.Err, idem.ErrMismatch, "that would say that nothing happened")
		require.Len(t, w.Server.Arrivals(), 1, "no use asking again at once")
		in, err := c.Lookup(testkit.Context(t), in.Key())
		require.NoError(t, err)
		require.Contains(t, fmt.Sprint(in.History()), "alarm")
		require.Contains(t, log.String(), "level=ERROR")
		require.Contains(t, log.String(), in.Key())
	})
	for name, steps := range map[string][]clientkit.Step{
		"business conflict": {{Status: 409}}, "our own success": {{Status: clientkit.Lost}, {Status: 409}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _ := scripted(t, steps...)
			c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", clientkit.Stripe()))
			in, err := c.Begin(testkit.Context(t), clientkit.Order(), testkit.NewInvoice(t, url, 500))
			require.NoError(t, err)
			requireDoubt(t, c, in)
		})
	}
}

// A 500 that the far side stored is the same however often it is asked: the sending
// stops, Reconcile is asked, and without one it is in doubt.
func TestStored500(t *testing.T) {
	t.Parallel()
	for name, reconcile := range map[string]func(context.Context, *idem.Intent) (idem.Resolution, error){
		"no reconcile": nil,
		"it happened": func(_ context.Context, in *idem.Intent) (idem.Resolution, error) {
			return idem.Resolution{State: idem.Succeeded, Result: []byte(`{"id":"in_1"}`), Note: "found " + in.Key()}, nil
		},
		"cannot tell": func(context.Context, *idem.Intent) (idem.Resolution, error) { return idem.Resolution{}, errReader },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			p := clientkit.Stripe()
			p.Reconcile = reconcile
			require.NoError(t, w.Server.Script(faults(idemtest.Error500After)...))
			in, got := ask(t, w.Open(idem.WithPolicy("*", p)), w.Invoice(500), "1")
			require.Len(t, w.Server.Arrivals(), 2, "once, and once more to learn that it is stored")
			if name == "it happened" {
				w.Unchecked = append(w.Unchecked, in.Key()) // what Reconcile found is not what the key holds
				require.NoError(t, got.Err)
				require.Equal(t, `{"id":"in_1"}`, got.Body)
				return
			}
			require.ErrorIs(t, got.Err, idem.ErrInDoubt)
			require.Contains(t, fmt.Sprint(in.History()), "http 500")
		})
	}
}

// A reply over the limit: a success stays one, by its length and hash, now and
// whenever it is asked for again; any other proves nothing.
func TestReplyOverTheLimit(t *testing.T) {
	t.Parallel()
	t.Run("success", func(t *testing.T) {
		t.Parallel()
		w := clientkit.NewWorld(t)
		require.NoError(t, w.Server.Script(idemtest.Fault{Kind: idemtest.BigBody, Size: 100_000}))
		c := w.Open(idem.WithPolicy("*", clientkit.Stripe()), idem.WithMaxReply(99_999))
		for range 2 {
			in, got := ask(t, c, w.Invoice(500), "1")
			require.ErrorIs(t, got.Err, idem.ErrOutcomeTruncated)
			require.NotErrorIs(t, got.Err, idem.ErrInDoubt)
			require.Equal(t, 200, got.Status)
			require.Empty(t, got.Body)
			require.Equal(t, idem.Succeeded, in.State())
			sum := sha256.Sum256(w.Server.Keys()[0].Body)
			for _, word := range []string{"charge 1", in.Key(), "100000 bytes", fmt.Sprintf("%x", sum), "WithMaxReply"} {
				require.ErrorContains(t, got.Err, word)
			}
			w.Unchecked = []string{in.Key()}
		}
		require.Len(t, w.Server.Arrivals(), 1)
	})
	t.Run("as long as the limit", func(t *testing.T) {
		t.Parallel()
		w := clientkit.NewWorld(t)
		require.NoError(t, w.Server.Script(idemtest.Fault{Kind: idemtest.BigBody, Size: 100_000}))
		_, got := ask(t, w.Open(idem.WithPolicy("*", clientkit.Stripe()), idem.WithMaxReply(100_000)), w.Invoice(500), "1")
		require.NoError(t, got.Err)
		require.Len(t, got.Body, 100_000)
	})
	for _, status := range []int{400, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			f := newFarSide(t, func(n int, w http.ResponseWriter) { says(w, status, strings.Repeat(" ", 2000)+"{}") })
			c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", clientkit.PromisesNothing()), idem.WithMaxReply(1000))
			in, got := ask(t, c, testkit.NewInvoice(t, f.URL, 500), "1")
			require.ErrorIs(t, got.Err, idem.ErrInDoubt)
			require.ErrorContains(t, got.Err, "over the limit")
			require.Equal(t, idem.InDoubt, in.State())
		})
	}
}

// The far side's word on whether to ask again is obeyed.
func TestShouldRetry(t *testing.T) {
	t.Parallel()
	for word, arrivals := range map[string]int{"false": 1, "true": 4, "": 4} {
		f := newFarSide(t, func(n int, w http.ResponseWriter) {
			w.Header().Set("Stripe-Should-Retry", word)
			says(w, 503, `{}`)
		})
		c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", clientkit.Stripe()))
		_, got := ask(t, c, testkit.NewInvoice(t, f.URL, 500), "1")
		require.ErrorIs(t, got.Err, idem.ErrInDoubt)
		require.Len(t, f.arrivals(), arrivals, "%q", word)
	}
}

// A resource that is gone after a lost reply may be gone by that very attempt.
func TestNotFoundAfterALostDelete(t *testing.T) {
	t.Parallel()
	s := clientkit.NewServer(t, idemtest.IgnoreKeys())
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", clientkit.Stripe()))
	_, got := ask(t, c, testkit.NewInvoice(t, s.URL(), 500), "create")
	require.NoError(t, got.Err)
	require.NoError(t, s.Script(faults(idemtest.DropAfter)...))
	req, err := http.NewRequest(http.MethodDelete, s.URL()+"/v1/invoices/"+s.Effects()[0].Object, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+testkit.Secret)
	in, got := ask(t, c, req, "delete")
	require.ErrorIs(t, got.Err, idem.ErrInDoubt)
	require.Equal(t, idem.InDoubt, in.State())
	require.Equal(t, 404, s.Arrivals()[2].Status)
	require.Len(t, s.Effects(), 2)
}

// A reply that is shorter than it says is no outcome, also where a base transport of
// the caller's own does not notice: it is in doubt, and no bytes are made up.
func TestAReplyShorterThanItSays(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", `{"id":`} {
		c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", clientkit.PromisesNothing()), idem.WithTransport(clientkit.RoundTrip(
			func(req *http.Request) (*http.Response, error) {
				return &http.Response{
					StatusCode: http.StatusOK, Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {"application/json"}},
					Body: io.NopCloser(strings.NewReader(text)), ContentLength: 15, Request: req,
				}, nil
			})))
		in, got := ask(t, c, testkit.NewInvoice(t, "http://api.invalid", 500), "1")
		require.ErrorIs(t, got.Err, idem.ErrInDoubt, "%q", text)
		require.Empty(t, in.Outcome())
	}
}
