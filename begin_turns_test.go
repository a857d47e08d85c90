package idem_test

import (
	"fmt"
	"testing"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// Processes that begin intents in turns on one journal stand in nobody's way: each
// intent is its own, with its own key, and what one wrote counts for the next.
func TestProcessesBeginInTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(idem.WithPolicy("*", stripe()))
	keys := map[string]bool{}
	for i := range 4 {
		in, err := c.Begin(testCtx(t), idem.Operation{Name: "create_invoice", ID: fmt.Sprint("here ", i)}, w.invoice(500))
		require.NoError(t, err)
		keys[in.Key()] = true
		other := w.agent(agentArgs{ID: fmt.Sprint("there ", i), Cents: 500})
		keys[w.begin(other)] = true
		other.tell("close")
		other.expect("closed")
		other.wait()
	}
	require.Len(t, keys, 8)
	for key := range keys {
		in, err := c.Lookup(testCtx(t), key)
		require.NoError(t, err)
		require.Equal(t, idem.Pending, in.State())
	}
}
