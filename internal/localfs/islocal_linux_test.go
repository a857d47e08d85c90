package localfs_test

import (
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/localfs"
)

func TestIsLocal_LocalDisk_IsAccepted(t *testing.T) {
	t.Parallel()
	require.NoError(t, localfs.IsLocal(t.TempDir()))
}

func TestIsLocal_OtherFileSystem_Fails(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, localfs.IsLocal("/proc"), "/proc is on a file system of type 0x9fa0, which is not known")
}

func TestIsLocal_MissingFolder_Fails(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	err := localfs.IsLocal(missing)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "statfs "+missing)
}
