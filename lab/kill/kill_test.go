//go:build linux && cgo

package kill_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/idem-go/idem/lab/kill"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if code, was := kill.Agent(); was {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// TestKills: whatever the moment at which a process dies, nothing is lost,
// duplicated, orphaned or wrongly failed.
func TestKills(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		plan kill.Plan
	}{
		{"one process", kill.Plan{Processes: 1, Rounds: 20}},
		{"three processes", kill.Plan{Processes: 3, Rounds: 20}},
		{"system calls", kill.Plan{Processes: 1, Rounds: 20, Calls: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			tally, err := c.plan.Run(context.Background(), 1)
			if errors.Is(err, kill.ErrNoStrace) {
				t.Skip("LOUD: no process is killed at a system call: ", err)
			}
			require.NoError(t, err)
			require.Empty(t, tally.Cases)
			require.Equal(t, c.plan.Rounds, tally.Rounds)
			t.Log(tally, tally.Ended, "ended before", time.Since(began), tally.Points)
		})
	}
}

// TestControl tests that the checker finds a server that ignores keys. The lab's -push
// makes every negative control.
func TestControl(t *testing.T) {
	t.Parallel()
	tally, err := kill.Plan{Processes: 1, Rounds: 20, Deaf: true}.Run(context.Background(), 1)
	require.NoError(t, err)
	require.Positive(t, tally.Bad)
}
