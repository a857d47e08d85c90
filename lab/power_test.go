//go:build linux && cgo

package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each suite at its smallest: no image of a power loss breaks a rule, and every
// negative control is caught.
func TestPower(t *testing.T) {
	t.Parallel()
	for _, one := range (lab{seed: 1}).powerSuites() {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			n, err := one.run(context.Background(), quick)
			require.NoError(t, err)
			require.Zero(t, n.broken, "%v", n.found)
			require.Positive(t, n.tried)
			t.Logf("%d %s (%s)", n.tried, n.unit, n.detail)
		})
	}
}
