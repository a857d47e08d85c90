package localfs

import (
	"errors"
	"fmt"
	"os"
)

// SyncWAL makes what is read in SQLite's log what is on the disk. It is called
// before the log is read.
//
// The two may differ in two ways. A process that dies between writing and syncing
// leaves a commit that is only in the system's memory: it is synced. And where a
// sync failed, the system keeps pages that never reached the disk and takes them
// for clean, so that no later sync writes them; whatever is appended behind them
// would be lost with them. They were never acknowledged: they are dropped from
// memory, and read from the disk again.
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
