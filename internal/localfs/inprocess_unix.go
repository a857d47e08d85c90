//go:build unix

package localfs

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// OpenInProcess returns an error if this process has the file at path open already.
// The lock file cannot tell two openers in one process from two processes, and SQLite
// loses its locks on a file when any descriptor of the file in the process is closed.
//
// A file that does not exist is not open. Where the system does not list the open
// files of a process, OpenInProcess returns nil.
func OpenInProcess(path string) error {
	wanted, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	folder := "/dev/fd"
	if runtime.GOOS == "linux" { // a container may have no /dev
		folder = "/proc/self/fd"
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		var stat unix.Stat_t
		if unix.Fstat(n, &stat) != nil {
			continue // closed since the directory was read
		}
		if w, ok := wanted.Sys().(*syscall.Stat_t); ok && uint64(w.Dev) == uint64(stat.Dev) && w.Ino == stat.Ino {
			return errors.New("it is open in this process already: use that client, from as many goroutines as you like, or close it first")
		}
	}
	return nil
}
