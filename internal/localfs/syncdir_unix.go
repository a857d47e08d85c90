//go:build unix

package localfs

import (
	"errors"
	"os"
)

// SyncDir makes the entries of a directory durable: a file that was created, renamed
// or removed there stays so after a power loss. It fails if the directory cannot be
// opened or synced.
func SyncDir(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
