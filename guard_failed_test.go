package idem_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// What was refused is nobody's first: nothing had happened, so the same input under
// another ID is not taken for a re-emission of it. The refused ID stays refused.
func TestWhatWasRefusedIsNobodysFirst(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t))
	tool, r := chargeTool(t, c, idem.Policy{Window: time.Hour}, func(n int) (paid, error) {
		if n == 1 {
			return paid{}, idem.Refused(errors.New("no money"))
		}
		return paid{"p-1"}, nil
	})
	_, err := tool.Call(testkit.Context(t), "call_1", charge{500, "visa"})
	require.ErrorIs(t, err, idem.ErrRefused)
	out, err := tool.Call(testkit.Context(t), "call_2", charge{500, "visa"})
	require.NoError(t, err)
	require.Equal(t, paid{"p-1"}, out)
	_, err = tool.Call(testkit.Context(t), "call_1", charge{500, "visa"})
	require.ErrorIs(t, err, idem.ErrRefused)
	require.Len(t, r.list(), 2)
}
