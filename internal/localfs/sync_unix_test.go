//go:build unix

package localfs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/localfs"
)

func TestSyncDir_MissingFolder_Fails(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, localfs.SyncDir(folder))
	require.ErrorIs(t, localfs.SyncDir(filepath.Join(folder, "missing")), fs.ErrNotExist)
}

func TestSyncWAL_AnyContent_StaysAsItIs(t *testing.T) {
	t.Parallel()
	path, _ := newFile(t)
	require.NoError(t, localfs.SyncWAL(path))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "first", string(text))
}

func TestSyncWAL_MissingFile_NeedsNothing(t *testing.T) {
	t.Parallel()
	path, _ := newFile(t)
	require.NoError(t, localfs.SyncWAL(path+"-wal"))
	require.NoFileExists(t, path+"-wal")
}

func TestSyncWAL_NotAFile_Fails(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, localfs.SyncWAL(t.TempDir()), "SQLite's log: ")
}
