package idem_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// An ID that was answered as a re-emission stands for the first intent, also where
// the policy has no window any more: it is never a second effect by accident.
func TestAnAliasOutlivesItsPolicy(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	open := func(p idem.Policy) (*idem.Client, *idem.Tool[charge, paid], *runs) {
		c, err := idem.Open(path)
		require.NoError(t, err)
		tool, r := chargeTool(t, c, p, always(paid{"p-1"}, nil))
		return c, tool, r
	}
	c, tool, r := open(idem.Policy{Window: time.Hour})
	for _, id := range []string{"call_1", "call_2"} {
		_, err := tool.Call(testkit.Context(t), id, charge{500, "visa"})
		require.NoError(t, err)
	}
	require.Len(t, r.list(), 1)
	require.NoError(t, c.Close())

	c, tool, r = open(idem.Policy{})
	_, err := tool.Call(testkit.Context(t), "other", charge{1, "visa"})
	require.NoError(t, err)
	out, err := tool.Call(testkit.Context(t), "call_2", charge{500, "visa"})
	require.NoError(t, err)
	require.Equal(t, paid{"p-1"}, out)
	_, err = tool.Call(testkit.Context(t), "call_2", charge{501, "visa"})
	require.ErrorIs(t, err, idem.ErrMismatch)
	require.Len(t, r.list(), 1, "only the other one was done")
	require.NoError(t, c.Close())
	clientkit.CheckJournal(t, path)
}
