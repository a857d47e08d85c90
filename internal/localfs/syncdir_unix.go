//go:build unix

package localfs

import (
	"errors"
	"os"
)

func SyncDir(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
