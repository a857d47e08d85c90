package lockfile

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// Linux locks one byte of the file per slot, with locks of the open file description.
// Such a lock belongs to the descriptor that took it. Closing another descriptor of
// the same file does not drop it, as it drops a lock of the process (F_SETLK), and a
// child process does not inherit it, because the descriptor is closed on exec.

// Try locks a slot if no other File holds it. It reports whether this File now holds
// the slot, and does not wait. It fails if the system cannot lock.
func (l *File) Try(slot int64) (bool, error) {
	lock := byteLock(unix.F_WRLCK, slot)
	err := retryInterrupted(func() error { return unix.FcntlFlock(l.file.Fd(), unix.F_OFD_SETLK, &lock) })
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, err
}

// Unlock unlocks a slot that this File holds.
func (l *File) Unlock(slot int64) {
	lock := byteLock(unix.F_UNLCK, slot)
	retryInterrupted(func() error { return unix.FcntlFlock(l.file.Fd(), unix.F_OFD_SETLK, &lock) })
}

// Held reports whether another File holds a slot, and does not take it.
func (l *File) Held(slot int64) (bool, error) {
	lock := byteLock(unix.F_WRLCK, slot)
	err := retryInterrupted(func() error { return unix.FcntlFlock(l.file.Fd(), unix.F_OFD_GETLK, &lock) })
	return err == nil && lock.Type != unix.F_UNLCK, err
}

// byteLock returns a lock of the kind on the byte of a slot.
func byteLock(kind int16, slot int64) unix.Flock_t {
	return unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: slot, Len: 1}
}
