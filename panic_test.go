package idem_test

import (
	"net/http"
	"testing"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// A panic of the program's own code, run on behalf of a caller, reaches that
// caller, and the intent is not called failed: another call finishes it under the
// same key.
func TestPanicOfTheProgramsOwnCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	panics := true
	authorize := stripe().Authorize
	c := w.open(idem.WithPolicy("charge", idem.Policy{Contract: idem.Stripe(), Retry: quick(), Authorize: func(r *http.Request) error {
		if panics {
			panic("no credentials at hand")
		}
		return authorize(r)
	}}))
	op := idem.Operation{Name: "charge", ID: "order-1"}
	require.PanicsWithValue(t, "no credentials at hand", func() { c.Do(w.invoice(500), op) })
	panics = false
	_, err := c.Do(w.invoice(500), op)
	require.NoError(t, err)
	require.Len(t, w.server.Effects(), 1)
}
