//go:build unix

package localfs_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/localfs"
)

func TestHasHardLinks_SecondName_ReportsTrue(t *testing.T) {
	t.Parallel()
	path, info := newFile(t)
	require.False(t, localfs.HasHardLinks(info))
	require.NoError(t, os.Symlink(path, path+".symbolic"))
	requireHardLinks(t, path, false)
	require.NoError(t, os.Link(path, path+".link"))
	requireHardLinks(t, path, true)
	requireHardLinks(t, path+".link", true)
	require.NoError(t, os.Remove(path+".link"))
	requireHardLinks(t, path, false)
}

func requireHardLinks(t testing.TB, path string, want bool) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, want, localfs.HasHardLinks(info))
}
