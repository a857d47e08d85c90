package localfs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/localfs"
)

// newFile makes a file and returns its path and description.
func newFile(t testing.TB) (string, os.FileInfo) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent.db")
	require.NoError(t, os.WriteFile(path, []byte("first"), 0o600))
	info, err := os.Stat(path)
	require.NoError(t, err)
	return path, info
}

// requireSame requires that SameFile reports want, without an error.
func requireSame(t testing.TB, path string, known os.FileInfo, want bool) {
	t.Helper()
	same, err := localfs.SameFile(path, known)
	require.NoError(t, err)
	require.Equal(t, want, same)
}

func TestSameFile_Untouched_ReportsTrue(t *testing.T) {
	t.Parallel()
	path, info := newFile(t)
	requireSame(t, path, info, true)
	require.NoError(t, os.WriteFile(path, []byte("longer than before"), 0o600))
	requireSame(t, path, info, true)
}

func TestSameFile_ReplacedByRename_ReportsFalse(t *testing.T) {
	t.Parallel()
	path, info := newFile(t)
	next := path + ".next"
	require.NoError(t, os.WriteFile(next, []byte("first"), 0o600))
	require.NoError(t, os.Chtimes(next, info.ModTime(), info.ModTime()))
	require.NoError(t, os.Rename(next, path))
	requireSame(t, path, info, false)
}

func TestSameFile_MovedAway_FollowsTheFile(t *testing.T) {
	t.Parallel()
	path, info := newFile(t)
	require.NoError(t, os.Rename(path, path+".moved"))
	requireSame(t, path+".moved", info, true)
}

func TestSameFile_Removed_FailsWithNotExist(t *testing.T) {
	t.Parallel()
	path, info := newFile(t)
	require.NoError(t, os.Remove(path))
	same, err := localfs.SameFile(path, info)
	require.False(t, same)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, path)
}

func TestSameFile_PathOfAnotherError_Fails(t *testing.T) {
	t.Parallel()
	path, info := newFile(t)
	for _, bad := range []string{path + "\x00", filepath.Join(path, "below-a-file")} {
		same, err := localfs.SameFile(bad, info)
		require.False(t, same)
		require.Error(t, err)
	}
}
