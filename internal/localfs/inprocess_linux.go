package localfs

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
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
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil // no /proc: the other process-wide checks remain
	}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		info, err := os.Stat(filepath.Join("/proc/self/fd", strconv.Itoa(n)))
		if err == nil && os.SameFile(info, wanted) {
			return errors.New("it is open in this process already: use that client, from as many goroutines as you like, or close it first")
		}
	}
	return nil
}
