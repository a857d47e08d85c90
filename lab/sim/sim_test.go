package sim_test

import (
	"context"
	"flag"
	"os"
	"testing"

	"github.com/idem-go/idem/lab/sim"
	"github.com/stretchr/testify/require"
)

var seed = flag.Uint64("seed", 0, "simulate only this seed, and print its trace")

func TestMain(m *testing.M) {
	sim.Child()
	os.Exit(m.Run())
}

// TestSeeds: whatever the seed says of crashes, clocks and the far side, nothing is
// lost, duplicated or wrongly failed, and no key is sent after its time.
func TestSeeds(t *testing.T) {
	t.Parallel()
	if *seed != 0 {
		r := sim.Run(t, *seed, sim.Whole)
		t.Log(r.Trace)
		require.Empty(t, r.Found)
		return
	}
	for n := range uint64(150) {
		r := sim.Run(t, n+1, sim.Whole)
		require.Empty(t, r.Found, "go test ./sim -seed %d\n%s", r.Seed, r.Trace)
	}
}

// TestASeedReplays: the same seed goes the same way.
func TestASeedReplays(t *testing.T) {
	t.Parallel()
	for n := range uint64(15) {
		require.Equal(t, sim.Run(t, n+1, sim.Whole).Trace, sim.Run(t, n+1, sim.Whole).Trace, "seed %d", n+1)
	}
}

// TestControls: what is broken in one way is found to be so.
func TestControls(t *testing.T) {
	t.Parallel()
	all, err := sim.Controls(context.Background(), 1, 2000)
	require.NoError(t, err)
	for _, c := range all {
		require.True(t, c.Caught, "%s was not caught in %d seeds", c.Name, c.Tally.Seeds)
		t.Log(c.Name, c.Tally.Seeds, c.Tally.Bad[0].Found[0])
	}
}
