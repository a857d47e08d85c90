package lockfile_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/lockfile"
)

func TestOpen_NewFile_DescribesIt(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	f := open(t, path)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.True(t, os.SameFile(f.Info(), info))
	require.Equal(t, path, f.Path())
}

func TestOpen_MissingFolder_Fails(t *testing.T) {
	t.Parallel()
	_, err := lockfile.Open(filepath.Join(t.TempDir(), "missing", "agent.db.owners"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "the lock file: ")
}
