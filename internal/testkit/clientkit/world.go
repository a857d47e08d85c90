package clientkit

import (
	"context"
	"net/http"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
)

// MustBegin begins order-1 with an invoice of so many cents.
func (w *World) MustBegin(c *idem.Client, cents int) *idem.Intent {
	w.T.Helper()
	in, err := c.Begin(context.Background(), Order(), w.Invoice(cents))
	require.NoError(w.T, err)
	return in
}

// RefusesOther begins order-1 with another payload than it has: ErrMismatch that
// names the field and neither value, and nothing sent.
func (w *World) RefusesOther(c *idem.Client, key string) {
	w.T.Helper()
	arrived := len(w.Server.Arrivals())
	_, err := c.Begin(context.Background(), Order(), w.Invoice(777_001))
	require.ErrorIs(w.T, err, idem.ErrMismatch)
	require.NotErrorIs(w.T, err, idem.ErrInDoubt)
	require.ErrorContains(w.T, err, key)
	require.ErrorContains(w.T, err, "amount")
	require.NotContains(w.T, err.Error(), "777001")
	require.Len(w.T, w.Server.Arrivals(), arrived, "something was sent")
}

// LinksOther begins order-1 with another payload, after it failed: a new intent
// with a new key, linked to the one before, which then succeeds.
func (w *World) LinksOther(c *idem.Client, before *idem.Intent) {
	w.T.Helper()
	in := w.MustBegin(c, 888)
	require.NotEqual(w.T, before.Key(), in.Key())
	require.Equal(w.T, before.Key(), in.Previous())
	require.Equal(w.T, idem.Pending, in.State())
	require.Zero(w.T, in.Attempts())
	got := Do(context.Background(), in)
	require.NoError(w.T, got.Err)
	require.Equal(w.T, http.StatusOK, got.Status)
	require.False(w.T, got.Replayed)
	require.Len(w.T, w.Server.EffectsOf(in.Key()), 1)
}

// Object is what the server made under a key.
func (w *World) Object(key string) string {
	l := w.Server.Ledger()
	require.Len(w.T, l.EffectsOf(key), 1)
	return string(l.Objects[l.EffectsOf(key)[0].Object])
}

func (w *World) EffectsByAmount() map[string]int {
	effects := map[string]int{}
	for _, e := range w.Server.Effects() {
		effects[e.Params["amount"]]++
	}
	return effects
}

// UncheckedIn leaves the outcomes of tools out of the comparison with the ledger:
// they are the tools' own output, not the server's reply.
func (w *World) UncheckedIn(c *idem.Client) {
	w.T.Helper()
	for in, err := range c.Intents(testkit.Context(w.T), idem.Filter{}) {
		require.NoError(w.T, err)
		if strings.HasPrefix(in.Target(), "tool ") {
			w.Unchecked = append(w.Unchecked, in.Key())
		}
	}
}
