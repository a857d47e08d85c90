package localfs_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/localfs"
	"github.com/idem-go/idem/internal/testkit"
)

// children are the programs that a child process of these tests can be.
type children struct{}

func TestMain(m *testing.M) { testkit.Main(m, children{}) }

// SameFile stats its argument, calls SameFile once and says what it returned.
func (children) SameFile(l *testkit.Link) error {
	var path string
	if err := l.Args(&path); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	same, err := localfs.SameFile(path, info)
	l.Say("%v %v", same, err)
	return nil
}

// tracedSameFile runs the child SameFile under strace, and returns what it said and
// the system calls that named the path.
func tracedSameFile(t *testing.T, path string, options ...string) (said string, calls []string) {
	t.Helper()
	args, err := json.Marshal(path)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", append(append([]string{"-f", "-qq", "-s", "4096", "-o", trace, "-e", "trace=%file"}, options...), self)...)
	cmd.Env = append(os.Environ(), testkit.ChildEnv+"=SameFile", testkit.ChildArgs+"="+string(args), "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
	stdin, err := cmd.StdinPipe() // a child whose parent's end is closed ends at once
	require.NoError(t, err)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, testkit.IgnoreClosed(stdin.Close()))
	text, err := os.ReadFile(trace)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, `"`+path+`"`) {
			calls = append(calls, line)
		}
	}
	return strings.TrimSpace(string(out)), calls
}

// TestSameFile_Linux_AsksForTheInodeAlone: a read of the file's times would make each
// commit slower, see SameFile. Where statx cannot be used, stat answers.
func TestSameFile_Linux_AsksForTheInodeAlone(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("LOUD: strace is not installed, so the system calls of SameFile are not seen; install it: apt-get install strace")
	}
	path, _ := newFile(t)
	said, calls := tracedSameFile(t, path)
	require.Equal(t, "true <nil>", said)
	require.Len(t, calls, 2, "os.Stat of the child, then SameFile's: %s", calls)
	require.Contains(t, calls[1], " statx(")
	require.Contains(t, calls[1], " STATX_INO, ")

	for _, failure := range []string{"ENOSYS", "EPERM"} {
		said, calls := tracedSameFile(t, path, "-e", "inject=statx:error="+failure)
		require.Equal(t, "true <nil>", said, failure)
		require.Len(t, calls, 3, "os.Stat again after statx: %s", calls)
		require.Contains(t, calls[1], failure)
	}
}
