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

// OpenInProcess refuses a file that this process has open already: a second opener
// would be taken for another process, and closing any descriptor of it drops
// SQLite's locks on it.
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
		return nil // no such folder: the other process-wide checks remain
	}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		var stat unix.Stat_t
		if unix.Fstat(n, &stat) != nil {
			continue
		}
		if w, ok := wanted.Sys().(*syscall.Stat_t); ok && uint64(w.Dev) == uint64(stat.Dev) && w.Ino == stat.Ino {
			return errors.New("it is open in this process already: use that client, from as many goroutines as you like, or close it first")
		}
	}
	return nil
}
