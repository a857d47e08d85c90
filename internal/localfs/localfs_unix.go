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

// IsLocal cannot be told here in one way for every system: a network file
// system is not noticed.
func IsLocal(string) error { return nil }

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

// HasHardLinks tells whether a file has hard links.
func HasHardLinks(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink > 1
}

func SyncDir(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
