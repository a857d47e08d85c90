//go:build cgo

package sqlite_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
)

// Opener opens a journal, which may be new, and says how that went. It stays on one
// thread: strace counts the system calls of each thread by themselves, so that the
// nth sync would be another one whenever the scheduler moved it.
func (children) Opener(l *testkit.Link) error {
	runtime.LockOSThread()
	var path string
	if err := l.Args(&path); err != nil {
		return err
	}
	c, err := idem.Open(path)
	if err != nil {
		l.Say("refused: %v", err)
		return nil
	}
	l.Say("opened")
	return c.Close()
}

// tracedOpen runs Opener under strace, which injects something into system calls.
func tracedOpen(t *testing.T, path, inject string) string {
	t.Helper()
	given, err := json.Marshal(path)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:"+inject, self)
	cmd.Env = append(os.Environ(), testkit.ChildEnv+"=Opener", testkit.ChildArgs+"="+string(given), "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
	stdin, err := cmd.StdinPipe() // a child whose parent's end is closed ends at once
	require.NoError(t, err)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, testkit.IgnoreClosed(stdin.Close()))
	return strings.TrimSpace(string(out))
}

// A disk on which nothing becomes durable any more, from the first sync of the very
// first Open on, or from any later one: Open says so and makes nobody believe in a
// journal. Among those syncs are the folder's, which SQLite makes too and whose
// error it does not look at. When the disk works again, so does Open.
func TestFirstOpenOnDiskThatCannotSync(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("LOUD: strace is not installed, so no sync of the first Open is made to fail; install it: apt-get install strace")
	}
	folder := t.TempDir()
	refused := 0
	for n := 1; ; n++ {
		path := filepath.Join(folder, fmt.Sprintf("agent-%d.db", n))
		said := tracedOpen(t, path, fmt.Sprintf("error=EIO:when=%d+", n))
		require.Equal(t, "opened", tracedOpen(t, path, "error=EIO:when=1000"), "after sync %d failed, and the disk was mended", n)
		if said == "opened" {
			break
		}
		require.Regexp(t, `^refused: idem: opening the journal .*agent-\d+\.db: .*input/output error`, said, "from sync %d on", n)
		refused++
	}
	t.Logf("each of %d syncs", refused)
	require.Greater(t, refused, 4, "two names, the first transaction, the lock file's tie and the folder")
}

// One sync that fails once is either an error too, or made good by a later one.
func TestFirstOpenWithOneFailedSync(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("LOUD: strace is not installed, so no sync of the first Open is made to fail; install it: apt-get install strace")
	}
	folder := t.TempDir()
	opened := 0
	for n := 1; n < 8; n++ {
		path := filepath.Join(folder, fmt.Sprintf("agent-%d.db", n))
		if said := tracedOpen(t, path, fmt.Sprintf("error=EIO:when=%d", n)); said == "opened" {
			opened++
		} else {
			require.Contains(t, said, "input/output error", "sync %d", n)
		}
		require.Equal(t, "opened", tracedOpen(t, path, "error=EIO:when=1000"), "after sync %d", n)
	}
	require.Less(t, opened, 4, "at most SQLite's own syncs of the folder are passed over")
}
