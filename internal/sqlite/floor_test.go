//go:build cgo

package sqlite_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// What is open is found, however much was begun since: recovery does not read the
// whole journal, and misses none.
func TestEveryOpenIntentIsFound(t *testing.T) {
	t.Parallel()
	const begun = 2100 // past two of the journal's own sweeps
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
	var wg sync.WaitGroup
	callers := make(chan struct{}, 64) // together they share transactions
	for i := range begun {
		req := w.Invoice(500)
		callers <- struct{}{}
		wg.Go(func() {
			defer func() { <-callers }()
			if _, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: fmt.Sprint(i)}, req); err != nil {
				t.Errorf("intent %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	open := map[string]bool{}
	for in, err := range c.Intents(testkit.Context(t), idem.Filter{States: []idem.State{idem.Pending, idem.InDoubt}}) {
		require.NoError(t, err)
		require.False(t, open[in.Operation().ID], "intent %s twice", in.Operation().ID)
		open[in.Operation().ID] = true
	}
	for i := range begun {
		require.True(t, open[fmt.Sprint(i)], "intent %d is open, and was not found", i)
	}
	stats, err := c.Stats(testkit.Context(t))
	require.NoError(t, err)
	require.EqualValues(t, begun, stats.Pending)
}
