package localfs_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/localfs"
)

func TestOpeners_FileOpenElsewhere_NamesThatProcessOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "agent.db")
	mine, err := os.Create(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, mine.Close()) }()
	require.Empty(t, localfs.Openers(path, filepath.Join(t.TempDir(), "none")), "this process")

	cmd := exec.Command("sh", "-c", `exec 3<"$0"; echo open; read line`, path)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	require.True(t, bufio.NewScanner(out).Scan())
	require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
	found := localfs.Openers(path)
	for len(found) == 1 && !found[0].Stopped() { // the signal is on its way
		found = localfs.Openers(path)
	}
	require.Equal(t, []localfs.Process{{ID: cmd.Process.Pid, State: 'T'}}, found)
	require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
	require.NoError(t, in.Close())
	require.Error(t, cmd.Wait()) // read met the end
	require.Empty(t, localfs.Openers(path))
}
