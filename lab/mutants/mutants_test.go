//go:build linux && cgo

package mutants_test

import (
	"testing"

	"github.com/idem-go/idem/lab/mutants"
	"github.com/stretchr/testify/require"
)

// Every mutant applies to the sources as they are, exactly once, and names tests
// that exist. Whether those notice it is what go run ./lab -mutants finds out.
func TestMutantsFitTheSources(t *testing.T) {
	t.Parallel()
	root, err := mutants.Root(".")
	require.NoError(t, err)
	require.NoError(t, mutants.Check(root))
	require.GreaterOrEqual(t, len(mutants.All()), 30)
}
