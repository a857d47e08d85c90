package idem_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

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
