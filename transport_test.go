package idem_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

func invoiceOp(id string) idem.Operation { return idem.Operation{Name: "create_invoice", ID: id} }

// An unsafe request whose context names no operation is never sent, whatever its
// method; its body is closed. What is safe passes through.
func TestTransportSendsNothingUnsafeWithoutAnOperation(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open()
	s := newSDK(c, w.Server.URL(), 1)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "post", "PURGE"} {
		_, _, err := s.once(testkit.Context(t), method, "invoices", fiveDollars)
		require.ErrorIs(t, err, idem.ErrNoIntent, method)
		require.ErrorContains(t, err, "WithOperation")
		require.Empty(t, idem.Advice(err), "that is the program's business")
	}
	body := &closing{Reader: strings.NewReader(fiveDollars)}
	req := w.Invoice(500)
	req.Body = body
	_, err := c.Transport(nil).RoundTrip(req)
	require.ErrorIs(t, err, idem.ErrNoIntent)
	require.True(t, body.closed)
	req.URL, req.Body = nil, nil
	_, err = c.Transport(nil).RoundTrip(req)
	require.ErrorIs(t, err, idem.ErrNoIntent)
	require.Empty(t, w.Server.Arrivals())

	status, _, err := s.once(testkit.Context(t), "GET", "invoices", "")
	require.NoError(t, err)
	require.Equal(t, 200, status)
	for range c.Intents(testkit.Context(t), idem.Filter{}) {
		require.Fail(t, "a read was journaled")
	}
}

// closing is a body that knows whether it was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// The SDK's own key never leaves; the intent's key and the body's exact bytes do.
// The caller's request is not changed, and its body is closed.
func TestTransportReplacesTheKeyAndChangesNothingOfTheRequest(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	require.NoError(t, w.Server.Script(idemtest.Fault{Kind: idemtest.DropAfter}, idemtest.Fault{Kind: idemtest.CutBody}))
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	ctx := idem.WithOperation(testkit.Context(t), invoiceOp("order-1"))
	req := w.Invoice(500).WithContext(ctx)
	req.Header.Set("Idempotency-Key", "the SDK's own")
	body := &closing{Reader: strings.NewReader(fiveDollars)}
	req.Body = body
	before := req.Clone(ctx)
	resp, err := c.Transport(nil).RoundTrip(req)
	require.NoError(t, err)
	require.Same(t, req, resp.Request)
	require.Contains(t, testkit.BodyOf(t, resp), `"amount":500`)

	require.Equal(t, before.Header, req.Header)
	require.Equal(t, before.URL, req.URL)
	require.Equal(t, before.ContentLength, req.ContentLength)
	require.Same(t, io.ReadCloser(body), req.Body)
	require.True(t, body.closed)

	in, ok := idem.FromContext(ctx)
	require.True(t, ok)
	require.Equal(t, 3, in.Attempts())
	for _, a := range w.Server.Arrivals() {
		require.Equal(t, in.Key(), a.Key)
		require.Equal(t, in.PayloadHash(), a.BodyHash)
		require.True(t, a.Authorized)
	}
	require.Len(t, w.Server.Arrivals(), 3)
	require.Len(t, w.Server.Effects(), 1)
}

// An SDK that tries again by itself, with a new key each time, meets one intent:
// one key, one effect, also where no ID was given.
func TestAnSDKsOwnRetriesMeetOneIntent(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"order-1", ""} {
		w := clientkit.NewWorld(t)
		require.NoError(t, w.Server.Script(idemtest.Fault{Kind: idemtest.DropAfter}, idemtest.Fault{Kind: idemtest.ResetAfter},
			idemtest.Fault{Kind: idemtest.Proxy502After}))
		p := clientkit.Stripe()
		p.Retry.MaxAttempts = 1
		c := w.Open(idem.WithPolicy("create_invoice", p))
		s := newSDK(c, w.Server.URL(), 4)
		ctx := idem.WithOperation(testkit.Context(t), invoiceOp(id))
		status, body, err := s.post(ctx, "invoices", fiveDollars)
		require.NoError(t, err)
		require.Equal(t, 200, status)
		require.Contains(t, body, `"amount":500`)
		require.Len(t, w.Server.Arrivals(), 4)
		require.Len(t, w.Server.Effects(), 1)
		require.Equal(t, 4, only(t, c).Attempts())
	}
}

// Once it is settled, the SDK's further tries and whole other callers get the
// recorded reply, and nothing is sent.
func TestTransportReplays(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	s := newSDK(c, w.Server.URL(), 1)
	var first string
	for i := range 3 {
		ctx := idem.WithOperation(testkit.Context(t), invoiceOp("order-1"))
		status, body, err := s.post(ctx, "invoices", fiveDollars)
		require.NoError(t, err)
		require.Equal(t, 200, status)
		in, _ := idem.FromContext(ctx)
		require.Equal(t, i > 0, in.Replayed())
		if i == 0 {
			first = body
		}
		require.Equal(t, first, body)
	}
	require.Len(t, w.Server.Arrivals(), 1)
}

// One operation is one write: a second, different one under it is a mismatch and
// is not sent. After a refusal nothing had happened, and a mended one is a new
// intent with a new key.
func TestASecondDifferentWriteIsAMismatch(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	s := newSDK(c, w.Server.URL(), 1)
	ctx := idem.WithOperation(testkit.Context(t), invoiceOp(""))
	_, _, err := s.post(ctx, "invoices", fiveDollars)
	require.NoError(t, err)
	_, _, err = s.post(ctx, "invoices", tenDollars)
	require.ErrorIs(t, err, idem.ErrMismatch)
	require.ErrorContains(t, err, `form field "amount"`)
	_, _, err = s.post(ctx, "charges", fiveDollars)
	require.ErrorIs(t, err, idem.ErrMismatch)
	require.Len(t, w.Server.Arrivals(), 1)

	ctx = idem.WithOperation(testkit.Context(t), invoiceOp("order-2"))
	status, _, err := s.post(ctx, "invoices", "amount=-5&currency=usd")
	require.NoError(t, err)
	require.Equal(t, 400, status)
	status, _, err = s.post(ctx, "invoices", fiveDollars)
	require.NoError(t, err)
	require.Equal(t, 200, status)
	require.Len(t, w.Server.Effects(), 2)
}

// The SDK's own transport carries the attempts, sees the intent in the context, and
// is where recovered attempts do not go.
func TestTransportSendsThroughItsBase(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	var saw []string
	base := clientkit.RoundTrip(func(req *http.Request) (*http.Response, error) {
		in, ok := idem.FromContext(req.Context())
		require.True(t, ok)
		saw = append(saw, in.Key()+" "+req.Header.Get("Idempotency-Key"))
		return http.DefaultTransport.RoundTrip(req)
	})
	s := newSDK(c, w.Server.URL(), 1)
	s.http.Transport = c.Transport(base)
	_, _, err := s.post(idem.WithOperation(testkit.Context(t), invoiceOp("order-1")), "invoices", fiveDollars)
	require.NoError(t, err)
	key := only(t, c).Key()
	require.Equal(t, []string{key + " " + key}, saw)
}

// What Transport cannot carry out is an error and no reply, as net/http wants it:
// in doubt, over the limit, a closed client, no scope.
func TestTransportGivesAnErrorOrAReplyNeverBoth(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.PromisesNothing()), idem.WithMaxReply(1000), idem.WithRequireScope())
	send := func(op idem.Operation) error {
		ctx := idem.WithOperation(testkit.Context(t), op)
		resp, err := c.Transport(nil).RoundTrip(w.Invoice(500).WithContext(ctx))
		require.True(t, (resp == nil) != (err == nil), "%v %v", resp, err)
		if in, _ := idem.FromContext(ctx); errors.Is(err, idem.ErrOutcomeTruncated) {
			w.Unchecked = append(w.Unchecked, in.Key()) // its outcome is not kept
		}
		return err
	}
	require.ErrorIs(t, send(invoiceOp("order-1")), idem.ErrNoScope)
	require.NoError(t, w.Server.Script(idemtest.Fault{Kind: idemtest.DropAfter}, idemtest.Fault{Kind: idemtest.BigBody, Size: 2000}))
	require.ErrorIs(t, send(idem.Operation{Name: "create_invoice", Scope: "a", ID: "order-1"}), idem.ErrInDoubt)
	require.ErrorIs(t, send(idem.Operation{Name: "create_invoice", Scope: "b", ID: "order-1"}), idem.ErrOutcomeTruncated)
	require.NoError(t, send(idem.Operation{Name: "create_invoice", Scope: "c", ID: "order-1"}))
	require.NoError(t, c.Close())
	require.ErrorIs(t, send(idem.Operation{Name: "create_invoice", Scope: "d", ID: "order-1"}), idem.ErrClosed)
	require.Len(t, w.Server.Effects(), 3)
}

// A redirect is an answer that proves nothing and is not followed with the payload.
func TestTransportFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	require.NoError(t, w.Server.Script(idemtest.Fault{Kind: idemtest.Redirect307Other}))
	p := clientkit.PromisesNothing()
	c := w.Open(idem.WithPolicy("create_invoice", p))
	_, _, err := newSDK(c, w.Server.URL(), 1).post(idem.WithOperation(testkit.Context(t), invoiceOp("order-1")), "invoices", fiveDollars)
	require.ErrorIs(t, err, idem.ErrInDoubt)
	require.Len(t, w.Server.Arrivals(), 1)
}

// An operation that is ReadOnly passes through, unkeyed and not journaled, though
// its method is POST: a search.
func TestTransportPassesReadOnlyOperationsThrough(t *testing.T) {
	t.Parallel()
	asked := 0
	search := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		fmt.Fprint(w, r.Header.Get("Idempotency-Key") == "")
	}))
	t.Cleanup(search.Close)
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("search", idem.Policy{Effect: idem.ReadOnly}))
	client := &http.Client{Transport: c.Transport(nil)}
	for range 2 {
		req, err := http.NewRequestWithContext(idem.WithOperation(testkit.Context(t), idem.Operation{Name: "search"}),
			http.MethodPost, search.URL, strings.NewReader("q=idem"))
		require.NoError(t, err)
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.Equal(t, "true", testkit.BodyOf(t, resp))
	}
	require.Equal(t, 2, asked)
	for range c.Intents(testkit.Context(t), idem.Filter{}) {
		require.Fail(t, "a read was journaled")
	}
}

// A ctx that ends while the SDK waits ends the wait; the reply that still arrives
// is recorded, and the next try gets it.
func TestTransportRecordsWhatArrivesAfterTheSDKGaveUp(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	require.NoError(t, w.Server.Script(idemtest.Fault{Kind: idemtest.HoldReply}))
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.PromisesNothing()))
	s := newSDK(c, w.Server.URL(), 1)
	op := idem.WithOperation(testkit.Context(t), invoiceOp("order-1"))
	ctx, cancel := context.WithCancel(op)
	got := make(chan error, 1)
	go func() {
		_, _, err := s.post(ctx, "invoices", fiveDollars)
		got <- err
	}()
	require.NoError(t, w.Server.WaitEffects(testkit.Context(t), 1))
	cancel()
	err := <-got
	require.True(t, errors.Is(err, context.Canceled), "%v", err)
	w.Server.Release()
	status, _, err := s.post(op, "invoices", fiveDollars)
	require.NoError(t, err)
	require.Equal(t, 200, status)
	require.Len(t, w.Server.Arrivals(), 1)
}
