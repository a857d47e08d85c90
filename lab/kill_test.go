//go:build linux && cgo

package main

import (
	"context"
	"os"
	"testing"

	"github.com/idem-go/idem/lab/kill"
	"github.com/idem-go/idem/lab/pair"
	"github.com/idem-go/idem/lab/sim"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	sim.Child()                         // started by a suite, to simulate
	if code, was := kill.Agent(); was { // or to be killed
		os.Exit(code)
	}
	if code, was := pair.Child(); was { // or to be killed as one of a pair
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// The negative controls: a history in which the library, or the far side, is broken
// in one way is found to be so.
func TestKillControls(t *testing.T) {
	t.Parallel()
	n, err := newLab(1).killControls(context.Background(), quick)
	require.NoError(t, err)
	require.Zero(t, n.broken, "%v", n.found)
	require.Positive(t, n.tried)
}
