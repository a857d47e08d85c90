//go:build unix && !linux

package localfs

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// OpenInProcess refuses a file that this process has open already.
func OpenInProcess(path string) error {
	wanted, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	entries, err := os.ReadDir("/dev/fd")
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
			continue
		}
		if w, ok := wanted.Sys().(*syscall.Stat_t); ok && uint64(w.Dev) == uint64(stat.Dev) && w.Ino == stat.Ino {
			return fmt.Errorf("it is open in this process already: use that client, from as many goroutines as you like, or close it first")
		}
	}
	return nil
}
