package localfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// SameFile tells whether a path leads to the file that known describes. It is asked
// before each transaction, so how matters: since Linux 6.13, whoever reads a file's
// times makes the next write to it change them at once, and that dirties a block
// which the log's next fsync then has to write too. statx, asked for the inode alone,
// does not; stat made a pair a third slower.
func SameFile(path string, known os.FileInfo) (bool, error) {
	whole, ok := known.Sys().(*syscall.Stat_t)
	if !ok {
		return sameFileByStat(path, known)
	}
	var found unix.Statx_t
	switch err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO, &found); {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		return false, &fs.PathError{Op: "stat", Path: path, Err: err}
	default: // a kernel, or a sandbox, that does not know it
		return sameFileByStat(path, known)
	}
	device := unix.Mkdev(found.Dev_major, found.Dev_minor)
	return found.Ino == whole.Ino && device == uint64(whole.Dev), nil
}
