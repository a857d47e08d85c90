//go:build linux && cgo

package kill

import (
	"errors"
	"fmt"
	"os/exec"
)

// calls are the system calls that a journal makes on its files.
func calls() []string {
	return []string{"openat", "pwrite64", "fdatasync", "fsync", "ftruncate", "fcntl", "flock", "pread64", "unlink", "fstat", "write", "mmap", "close"}
}

// ErrNoStrace says that a suite could not be run, and why.
var ErrNoStrace = errors.New("strace is not installed, or may not trace: apt-get install strace")

// traced is the agent under strace, which kills it when it makes the Nth call of a
// kind: before the call is carried out.
func (w *world) traced(self string) (*exec.Cmd, string, error) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return nil, "", ErrNoStrace
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	all := calls()
	call := all[(w.killed+w.ended+int(w.seed)*worldRounds)%len(all)]
	n := 1 + w.random.IntN(1+w.random.IntN(24)) // small ones more often: opening is the same each time
	return exec.Command(strace, "-f", "-qq", "-o", "/dev/null", "-e", "signal=none", "-e", "trace="+call,
		"-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", call, n), self), call, nil
}
