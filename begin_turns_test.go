package idem_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// Processes that begin intents in turns on one journal stand in nobody's way: each
// intent is its own, with its own key, and what one wrote counts for the next.
func TestProcessesBeginInTurns(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
	keys := map[string]bool{}
	for i := range 4 {
		in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "create_invoice", ID: fmt.Sprint("here ", i)}, w.Invoice(500))
		require.NoError(t, err)
		keys[in.Key()] = true
		other := w.Agent(clientkit.AgentArgs{ID: fmt.Sprint("there ", i), Cents: 500})
		keys[w.Begin(other)] = true
		other.Tell("close")
		other.Expect("closed")
		other.Wait()
	}
	require.Len(t, keys, 8)
	for key := range keys {
		in, err := c.Lookup(testkit.Context(t), key)
		require.NoError(t, err)
		require.Equal(t, idem.Pending, in.State())
	}
}
