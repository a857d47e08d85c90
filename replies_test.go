package idem_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/stretchr/testify/require"
)

// Replies that look like something they are not, and what they prove.

// A page in HTML where JSON was asked for comes from a portal or a proxy: no
// success, nor a refusal.
func TestCaptivePortal(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]idem.Policy{"keys kept": stripe(), "no contract": promisesNothing()} {
		w := newWorld(t)
		require.NoError(t, w.server.Script(faults(idemtest.CaptivePortal)...))
		c := w.open(idem.WithPolicy("*", p))
		req := w.invoice(500)
		req.Header.Set("Accept", "application/json")
		in, got := ask(t, c, req, "1")
		if name == "no contract" {
			require.ErrorIs(t, got.err, idem.ErrInDoubt)
			continue
		}
		require.NoError(t, got.err)
		require.Equal(t, w.object(in.Key()), got.body)
	}
	f := newFarSide(t, func(n int, w http.ResponseWriter) {
		w.Header().Set("Content-Type", " Text/HTML; charset=utf-8")
		fmt.Fprint(w, "<html>sign in</html>")
	})
	c := newClient(t, newPath(t), idem.WithPolicy("*", promisesNothing()))
	for i, x := range []struct {
		accept, contentType string
		state               idem.State
	}{
		{"", asJSON, idem.InDoubt},
		{"*/*", asJSON, idem.InDoubt},
		{"application/vnd.api+json", asForm, idem.InDoubt},
		{"text/html", asJSON, idem.Succeeded},
		{"text/html, application/json;q=0.9", asJSON, idem.Succeeded},
		{"", asForm, idem.Succeeded}, // nobody asked for JSON
	} {
		req := newInvoice(t, f.URL, 500)
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
		w := newWorld(t)
		require.NoError(t, w.server.Script(faults(idemtest.InFlightForced, idemtest.InFlightForced)...))
		_, got := ask(t, w.open(idem.WithPolicy("*", stripe())), w.invoice(500), "1")
		require.NoError(t, got.err)
		require.Equal(t, 200, got.status)
		require.Len(t, w.server.Arrivals(), 3)
	})
	t.Run("in flight, really", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := stripe()
		p.Retry.MaxAttempts = 1000
		require.NoError(t, w.server.Script(idemtest.Fault{Kind: idemtest.InFlightOverlap, Delay: 20 * time.Millisecond}))
		in, got := ask(t, w.open(idem.WithPolicy("*", p)), w.invoice(500), "1")
		require.NoError(t, got.err)
		require.Equal(t, w.object(in.Key()), got.body)
		require.Len(t, w.server.Effects(), 1)
	})
	t.Run("mismatch", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		var log bytes.Buffer
		require.NoError(t, w.server.Script(faults(idemtest.MismatchForced)...))
		c := w.open(idem.WithPolicy("*", stripe()), idem.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		in, got := ask(t, c, w.invoice(500), "1")
		require.ErrorIs(t, got.err, idem.ErrInDoubt)
		require.NotErrorIs(t, got.err, idem.ErrMismatch, "that would say that nothing happened")
		require.Len(t, w.server.Arrivals(), 1, "no use asking again at once")
		in, err := c.Lookup(testCtx(t), in.Key())
		require.NoError(t, err)
		require.Contains(t, fmt.Sprint(in.History()), "alarm")
		require.Contains(t, log.String(), "level=ERROR")
		require.Contains(t, log.String(), in.Key())
	})
	for name, steps := range map[string][]step{
		"business conflict": {{status: 409}}, "our own success": {{status: lost}, {status: 409}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _ := scripted(t, steps...)
			c := newClient(t, newPath(t), idem.WithPolicy("*", stripe()))
			in, err := c.Begin(testCtx(t), order(), newInvoice(t, url, 500))
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
			w := newWorld(t)
			p := stripe()
			p.Reconcile = reconcile
			require.NoError(t, w.server.Script(faults(idemtest.Error500After)...))
			in, got := ask(t, w.open(idem.WithPolicy("*", p)), w.invoice(500), "1")
			require.Len(t, w.server.Arrivals(), 2, "once, and once more to learn that it is stored")
			if name == "it happened" {
				w.unchecked = append(w.unchecked, in.Key()) // what Reconcile found is not what the key holds
				require.NoError(t, got.err)
				require.Equal(t, `{"id":"in_1"}`, got.body)
				return
			}
			require.ErrorIs(t, got.err, idem.ErrInDoubt)
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
		w := newWorld(t)
		require.NoError(t, w.server.Script(idemtest.Fault{Kind: idemtest.BigBody, Size: 100_000}))
		c := w.open(idem.WithPolicy("*", stripe()), idem.WithMaxReply(99_999))
		for range 2 {
			in, got := ask(t, c, w.invoice(500), "1")
			require.ErrorIs(t, got.err, idem.ErrOutcomeTruncated)
			require.NotErrorIs(t, got.err, idem.ErrInDoubt)
			require.Equal(t, 200, got.status)
			require.Empty(t, got.body)
			require.Equal(t, idem.Succeeded, in.State())
			sum := sha256.Sum256(w.server.Keys()[0].Body)
			for _, word := range []string{"charge 1", in.Key(), "100000 bytes", fmt.Sprintf("%x", sum), "WithMaxReply"} {
				require.ErrorContains(t, got.err, word)
			}
			w.unchecked = []string{in.Key()}
		}
		require.Len(t, w.server.Arrivals(), 1)
	})
	t.Run("as long as the limit", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		require.NoError(t, w.server.Script(idemtest.Fault{Kind: idemtest.BigBody, Size: 100_000}))
		_, got := ask(t, w.open(idem.WithPolicy("*", stripe()), idem.WithMaxReply(100_000)), w.invoice(500), "1")
		require.NoError(t, got.err)
		require.Len(t, got.body, 100_000)
	})
	for _, status := range []int{400, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			f := newFarSide(t, func(n int, w http.ResponseWriter) { says(w, status, strings.Repeat(" ", 2000)+"{}") })
			c := newClient(t, newPath(t), idem.WithPolicy("*", promisesNothing()), idem.WithMaxReply(1000))
			in, got := ask(t, c, newInvoice(t, f.URL, 500), "1")
			require.ErrorIs(t, got.err, idem.ErrInDoubt)
			require.ErrorContains(t, got.err, "over the limit")
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
		c := newClient(t, newPath(t), idem.WithPolicy("*", stripe()))
		_, got := ask(t, c, newInvoice(t, f.URL, 500), "1")
		require.ErrorIs(t, got.err, idem.ErrInDoubt)
		require.Len(t, f.arrivals(), arrivals, "%q", word)
	}
}

// A resource that is gone after a lost reply may be gone by that very attempt.
func TestNotFoundAfterALostDelete(t *testing.T) {
	t.Parallel()
	s := newServer(t, idemtest.IgnoreKeys())
	c := newClient(t, newPath(t), idem.WithPolicy("*", stripe()))
	_, got := ask(t, c, newInvoice(t, s.URL(), 500), "create")
	require.NoError(t, got.err)
	require.NoError(t, s.Script(faults(idemtest.DropAfter)...))
	req, err := http.NewRequest(http.MethodDelete, s.URL()+"/v1/invoices/"+s.Effects()[0].Object, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+secret)
	in, got := ask(t, c, req, "delete")
	require.ErrorIs(t, got.err, idem.ErrInDoubt)
	require.Equal(t, idem.InDoubt, in.State())
	require.Equal(t, 404, s.Arrivals()[2].Status)
	require.Len(t, s.Effects(), 2)
}
