//go:build linux && cgo

package main

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each suite at its smallest: no image of a power loss breaks a rule. That every
// negative control is caught takes thousands of images, and is seen with -push.
func TestPower(t *testing.T) {
	t.Parallel()
	for _, one := range newLab(1).powerSuites() {
		if strings.HasPrefix(one.name, "negative") {
			continue
		}
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
