//go:build linux && cgo

package mutants_test

import (
	"testing"

	"github.com/idem-go/idem/lab/mutants"
	"github.com/stretchr/testify/require"
)

// Each mutant applies to the sources exactly once and names tests that exist. Whether
// the tests notice the mutant is judged by `go run ./lab -mutants`.
func TestMutantsFitTheSources(t *testing.T) {
	t.Parallel()
	root, err := mutants.Root(".")
	require.NoError(t, err)
	require.NoError(t, mutants.Check(root))
	require.GreaterOrEqual(t, len(mutants.All()), 196)
}
