//go:build linux && cgo

package pair

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if code, was := Child(); was {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// TestRounds tests that kills of the client and of the server leave one effect for
// each operation, and the server's reply as its outcome, in ten rounds.
func TestRounds(t *testing.T) {
	t.Parallel()
	tally, err := Plan{Rounds: 10}.Run(context.Background(), 1)
	require.NoError(t, err)
	require.Zero(t, tally.Bad, "%v", tally.Cases)
	require.Equal(t, 10, tally.Rounds())
	require.Positive(t, tally.Operations)
}

// TestControl tests that the check finds a server that executes every request.
func TestControl(t *testing.T) {
	t.Parallel()
	tally, err := Plan{Rounds: worldRounds, Break: noMiddleware, UntilBad: true}.Run(context.Background(), 1)
	require.NoError(t, err)
	require.Positive(t, tally.Bad)
	require.Contains(t, tally.Cases[0], "effects of the key")
}
