//go:build linux && cgo

package power

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Images that a power loss left in earlier runs, of the kinds that the library once
// could not be opened on, or that are hard to hit: they are booted and judged each
// time, whatever seeds the suites draw, and whatever format the journal has by now.
// One that the lab keeps (lab -keep) becomes one of these by putting its case into
// testdata.
func TestKeptImages(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.json.gz")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(paths), 6)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".json.gz"), func(t *testing.T) {
			t.Parallel()
			k, err := readKept(path)
			require.NoError(t, err)
			j := k.job()
			found, err := rig{folder: t.TempDir()}.boot(j.image, j.plan, j.events, j.thorough)
			require.NoError(t, err)
			require.Empty(t, found, k.Where)
		})
	}
}
