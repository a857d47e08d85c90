package idem_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// An intended repeat is an intent of its own, with its own key: never taken for the
// first, and done once like any other.
func TestARepeatIsAnotherIntent(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
	keys := map[string]bool{}
	for _, round := range []string{"first", "asked again"} {
		for repeat := range 3 {
			op := clientkit.Order()
			op.Repeat = repeat
			in, err := c.Begin(testkit.Context(t), op, w.Invoice(500))
			require.NoError(t, err)
			got := clientkit.Do(testkit.Context(t), in)
			require.NoError(t, got.Err)
			require.Equal(t, round == "asked again", got.Replayed, "repeat %d", repeat)
			require.Equal(t, repeat, in.Operation().Repeat)
			keys[in.Key()] = true
		}
	}
	require.Len(t, keys, 3)
	require.Len(t, w.Server.Effects(), 3)
}
