package localfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// SameFile reports whether path leads to the file that known describes; known is a
// result of os.Stat. The error matches fs.ErrNotExist if there is no file at path.
//
// SameFile calls statx for the inode alone, because the store calls it before each
// transaction. Since Linux 6.13 a read of a file's times makes the next write change
// them at once. That dirties the inode, and the next fsync of the WAL writes that
// block too. stat reads the times: a pair of Begin and Do takes 480 µs with stat and
// 390 µs with statx, for one caller (docs/performance.md).
func SameFile(path string, known os.FileInfo) (bool, error) {
	old, ok := known.Sys().(*syscall.Stat_t)
	if !ok {
		return sameFileByStat(path, known)
	}
	var now unix.Statx_t
	switch err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO, &now); {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		return false, &fs.PathError{Op: "stat", Path: path, Err: err}
	default: // ENOSYS before Linux 4.11, EPERM in a sandbox that refuses statx
		return sameFileByStat(path, known)
	}
	return now.Ino == old.Ino && unix.Mkdev(now.Dev_major, now.Dev_minor) == uint64(old.Dev), nil
}
