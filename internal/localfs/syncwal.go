package localfs

import (
	"errors"
	"fmt"
	"os"
)

// SyncWAL makes the page cache and the disk agree about SQLite's WAL at path. Callers
// call it before the WAL is read. A WAL that does not exist needs nothing. It fails if
// the file cannot be opened for writing or synced.
//
// The two can differ for two reasons. A process that died between write and fsync
// leaves a commit in the page cache only: SyncWAL syncs it. And after an fsync that
// failed, the kernel keeps pages that never reached the disk and takes them for clean,
// so that no later fsync writes them. A commit appended after them would be lost with
// them. No commit in such pages was acknowledged: SyncWAL drops the pages, and the
// next read returns what is on the disk.
func SyncWAL(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		if err = f.Sync(); err == nil {
			err = dropCached(f)
		}
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("SQLite's log: %w", err)
	}
	return nil
}
