package idem_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

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
