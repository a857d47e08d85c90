package idem_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// Where the key goes, and that nothing takes it away.

// The key stands where the contract says, the same in every attempt, and the rest
// of the payload is what the caller gave, byte for byte.
func TestKeyPlaces(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		contract  idem.Contract
		kind      string
		body      string
		uri, want string // with KEY for the key
		header    string
		value     string
	}{
		"no place":          {idem.Contract{}, testkit.Form, "a=1", "/?q=1", "a=1", "Idempotency-Key", "KEY"},
		"a header":          {idem.Contract{Header: "PayPal-Request-Id"}, testkit.Form, "a=1", "/?q=1", "a=1", "Paypal-Request-Id", "KEY"},
		"a quoted header":   {idem.Contract{Quoted: true}, testkit.Form, "a=1", "/?q=1", "a=1", "Idempotency-Key", `"KEY"`},
		"the query":         {idem.Contract{Query: "requestId"}, testkit.Form, "a=1", "/?q=1&requestId=KEY", "a=1", "", ""},
		"a form's field":    {idem.Contract{Field: "/idempotency_key"}, testkit.Form, "a=%20+1", "/?q=1", "a=%20+1&idempotency_key=KEY", "", ""},
		"a form that had":   {idem.Contract{Field: "/idempotency_key"}, testkit.Form, "idempotency_key=old&a=1", "/?q=1", "a=1&idempotency_key=KEY", "", ""},
		"a JSON member":     {idem.Contract{Field: "/key"}, testkit.JSON, "{ \"n\": 1.0,\n\"big\": 9007199254740993 }", "/?q=1", "{\"key\":\"KEY\", \"n\": 1.0,\n\"big\": 9007199254740993 }", "", ""},
		"an empty object":   {idem.Contract{Field: "/key"}, testkit.JSON, `{}`, "/?q=1", `{"key":"KEY"}`, "", ""},
		"a JSON that had":   {idem.Contract{Field: "/key"}, testkit.JSON, `{"a":"\u00e9","key" : "old" , "b":1}`, "/?q=1", `{"a":"\u00e9","key" : "KEY" , "b":1}`, "", ""},
		"a nested member":   {idem.Contract{Field: "/variables/input/key"}, testkit.JSON, `{"key":"x","variables":{"input":{"n":1}}}`, "/?q=1", `{"key":"x","variables":{"input":{"key":"KEY","n":1}}}`, "", ""},
		"an escaped member": {idem.Contract{Field: "/a~1b"}, testkit.JSON, `{"n":1}`, "/?q=1", `{"a/b":"KEY","n":1}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFarSide(t, func(n int, w http.ResponseWriter) {
				if n < 3 {
					hangUp()
				}
				says(w, 200, `{}`)
			})
			x.contract.Name, x.contract.Retention = "test", time.Hour
			c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", idem.Policy{Contract: x.contract, Retry: clientkit.Quick()}))
			req, err := http.NewRequest(http.MethodPost, f.URL+"/?q=1", strings.NewReader(x.body))
			require.NoError(t, err)
			req.Header.Set("Content-Type", x.kind)
			in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "1"}, req)
			require.NoError(t, err)
			_, err = in.Do(testkit.Context(t))
			require.NoError(t, err)
			saw := f.arrivals()
			require.Len(t, saw, 3)
			for _, a := range saw {
				require.Equal(t, strings.ReplaceAll(x.uri, "KEY", in.Key()), a.URI)
				require.Equal(t, strings.ReplaceAll(x.want, "KEY", in.Key()), a.Body)
				require.Equal(t, strings.ReplaceAll(x.value, "KEY", in.Key()), a.Header.Get(x.header))
				if x.header != "Idempotency-Key" {
					require.Empty(t, a.Header.Get("Idempotency-Key"), "one place only")
				}
			}
			require.Equal(t, x.body, string(in.Payload()))
		})
	}
}

// A contract that wants the time of the first attempt gets the same one in every
// attempt, from the next process too.
func TestFirstSentStaysTheSame(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, func(n int, w http.ResponseWriter) {
		if n < 6 {
			hangUp()
		}
		says(w, 200, `{}`)
	})
	path := testkit.NewPath(t)
	p := clientkit.Stripe()
	p.Contract.FirstSent = "Repeatability-First-Sent"
	now := &clientkit.Wall{}
	now.Set(-time.Hour)
	open := func() *idem.Client {
		return clientkit.NewClient(t, path, idem.WithPolicy("*", p), idem.WithClock(now.Now))
	}
	c := open()
	_, err := c.Do(testkit.NewInvoice(t, f.URL, 1), idem.Operation{Name: "charge", ID: "1"})
	require.ErrorIs(t, err, idem.ErrInDoubt)
	require.NoError(t, c.Close())
	now.Set(0)
	report, err := open().Recover(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{Succeeded: 1}, report)
	saw := f.arrivals()
	require.Len(t, saw, 6)
	for _, a := range saw {
		at, err := http.ParseTime(a.Header.Get("Repeatability-First-Sent"))
		require.NoError(t, err)
		require.True(t, at.Before(time.Now().Add(-30*time.Minute)), "it was begun an hour ago")
		require.Equal(t, saw[0].Header["Repeatability-First-Sent"], a.Header["Repeatability-First-Sent"])
	}
}

// Policy.Authorize may add what it likes; the payload and the key stay ours.
func TestAuthorizeCannotTouchPayloadAndKey(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, func(n int, w http.ResponseWriter) { says(w, 200, `{}`) })
	for name, place := range map[string]idem.Contract{
		"header": {Retention: time.Hour}, "quoted": {Retention: time.Hour, Quoted: true}, "query": {Retention: time.Hour, Query: "key"},
	} {
		p := idem.Policy{Contract: place, Retry: clientkit.Quick(), Authorize: func(r *http.Request) error {
			r.Header = http.Header{"Authorization": {"Bearer x"}, "Idempotency-Key": {"other"}}
			r.URL.RawQuery = "signed=1"
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader("other")), 5
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("other")), nil }
			return nil
		}}
		c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", p))
		in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge"}, testkit.NewInvoice(t, f.URL, 500))
		require.NoError(t, err)
		_, err = in.Do(testkit.Context(t))
		require.NoError(t, err)
		saw := f.arrivals()
		last := saw[len(saw)-1]
		require.Equal(t, "amount=500&currency=usd", last.Body, name)
		require.Equal(t, "Bearer x", last.Header.Get("Authorization"))
		switch name {
		case "header":
			require.Equal(t, []string{in.Key()}, last.Header["Idempotency-Key"])
		case "quoted":
			require.Equal(t, []string{`"` + in.Key() + `"`}, last.Header["Idempotency-Key"])
		case "query":
			require.Equal(t, "/v1/invoices?signed=1&key="+in.Key(), last.URI)
		}
	}

	failing := idem.Policy{Contract: idem.Stripe(), Retry: clientkit.Quick(), Authorize: func(*http.Request) error { return errReader }}
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", failing))
	before := len(f.arrivals())
	_, err := c.Do(testkit.NewInvoice(t, f.URL, 500), idem.Operation{Name: "charge", ID: "1"})
	require.ErrorIs(t, err, idem.ErrNotSent)
	require.ErrorIs(t, err, errReader)
	require.Len(t, f.arrivals(), before)
}

// A Policy.Authorize that takes longer than an attempt may: nothing was written.
func TestAuthorizeThatTakesTooLong(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, func(n int, w http.ResponseWriter) { says(w, 200, `{}`) })
	p := clientkit.PromisesNothing()
	p.Retry.MaxAttempts, p.Retry.AttemptTimeout = 1, 20*time.Millisecond
	p.Authorize = func(r *http.Request) error { <-r.Context().Done(); return nil }
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", p))
	in, got := ask(t, c, testkit.NewInvoice(t, f.URL, 500), "1")
	require.ErrorIs(t, got.Err, idem.ErrNotSent)
	require.ErrorIs(t, got.Err, context.DeadlineExceeded)
	require.Zero(t, in.FirstSent())
	require.Empty(t, f.arrivals())
}
