//go:build unix

package localfs_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/localfs"
)

func TestOpenInProcess_FileOpenHere_Fails(t *testing.T) {
	t.Parallel()
	path, _ := newFile(t)
	link := path + ".link"
	require.NoError(t, os.Symlink(path, link))
	require.NoError(t, localfs.OpenInProcess(path))

	f, err := os.Open(path)
	require.NoError(t, err)
	require.ErrorContains(t, localfs.OpenInProcess(path), "open in this process already")
	require.ErrorContains(t, localfs.OpenInProcess(link), "open in this process already")
	other, _ := newFile(t)
	require.NoError(t, localfs.OpenInProcess(other))

	require.NoError(t, f.Close())
	require.NoError(t, localfs.OpenInProcess(path))
}

// TestOpenInProcess_FileReplaced_IsNotOpen: the file that is open is no longer the one
// at the path.
func TestOpenInProcess_FileReplaced_IsNotOpen(t *testing.T) {
	t.Parallel()
	path, _ := newFile(t)
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	next, _ := newFile(t)
	require.NoError(t, os.Rename(next, path))
	require.NoError(t, localfs.OpenInProcess(path))
}

func TestOpenInProcess_NoFile_IsNotOpen(t *testing.T) {
	t.Parallel()
	path, _ := newFile(t)
	require.NoError(t, localfs.OpenInProcess(path+".missing"))
	require.Error(t, localfs.OpenInProcess(filepath.Join(path, "below-a-file")))
}
