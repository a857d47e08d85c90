package idem_test

import (
	"testing"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// An intended repeat is an intent of its own, with its own key: never taken for the
// first, and done once like any other.
func TestARepeatIsAnotherIntent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(idem.WithPolicy("*", stripe()))
	keys := map[string]bool{}
	for _, round := range []string{"first", "asked again"} {
		for repeat := range 3 {
			op := order()
			op.Repeat = repeat
			in, err := c.Begin(testCtx(t), op, w.invoice(500))
			require.NoError(t, err)
			got := do(testCtx(t), in)
			require.NoError(t, got.err)
			require.Equal(t, round == "asked again", got.replayed, "repeat %d", repeat)
			require.Equal(t, repeat, in.Operation().Repeat)
			keys[in.Key()] = true
		}
	}
	require.Len(t, keys, 3)
	require.Len(t, w.server.Effects(), 3)
}
