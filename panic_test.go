package idem_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// A panic of the program's own code, run on behalf of a caller, reaches that
// caller, and the intent is not called failed: another call finishes it under the
// same key.
func TestPanicOfTheProgramsOwnCode(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	panics := true
	authorize := clientkit.Stripe().Authorize
	c := w.Open(idem.WithPolicy("charge", idem.Policy{Contract: idem.Stripe(), Retry: clientkit.Quick(), Authorize: func(r *http.Request) error {
		if panics {
			panic("no credentials at hand")
		}
		return authorize(r)
	}}))
	op := idem.Operation{Name: "charge", ID: "order-1"}
	require.PanicsWithValue(t, "no credentials at hand", func() { c.Do(w.Invoice(500), op) })
	panics = false
	_, err := c.Do(w.Invoice(500), op)
	require.NoError(t, err)
	require.Len(t, w.Server.Effects(), 1)
}
