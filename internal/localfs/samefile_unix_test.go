//go:build unix

package localfs_test

import (
	"io/fs"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/localfs"
)

func TestSameFile_SymbolicLink_IsFollowed(t *testing.T) {
	t.Parallel()
	path, info := newFile(t)
	link := path + ".link"
	require.NoError(t, os.Symlink(path, link))
	requireSame(t, link, info, true)
	other, _ := newFile(t)
	require.NoError(t, os.Remove(link))
	require.NoError(t, os.Symlink(other, link))
	requireSame(t, link, info, false)

	require.NoError(t, os.Remove(other))
	same, err := localfs.SameFile(link, info)
	require.False(t, same)
	require.ErrorIs(t, err, fs.ErrNotExist, "the link leads to no file")
}

func TestSameFile_HardLink_ReportsTrue(t *testing.T) {
	t.Parallel()
	path, info := newFile(t)
	require.NoError(t, os.Link(path, path+".link"))
	requireSame(t, path+".link", info, true)
}

// TestSameFile_KnownFromElsewhere_ReportsFalse: a file description that is not from
// os.Stat describes no file of the system.
func TestSameFile_KnownFromElsewhere_ReportsFalse(t *testing.T) {
	t.Parallel()
	path, info := newFile(t)
	requireSame(t, path, foreign{info}, false)
}

type foreign struct{ fs.FileInfo }

func (foreign) Sys() any { return nil }
