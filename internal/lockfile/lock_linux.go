package lockfile

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// Locks of an open file description: they belong to the descriptor that took
// them, so that closing another descriptor of the same file, or a child that was
// started, changes nothing.
func (l *File) Try(place int64) (bool, error) {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: place, Len: 1}
	err := retryInterrupted(func() error { return unix.FcntlFlock(l.file.Fd(), unix.F_OFD_SETLK, &lock) })
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, err
}

func (l *File) Unlock(place int64) {
	lock := unix.Flock_t{Type: unix.F_UNLCK, Whence: io.SeekStart, Start: place, Len: 1}
	retryInterrupted(func() error { return unix.FcntlFlock(l.file.Fd(), unix.F_OFD_SETLK, &lock) })
}

// Held tells whether another opener has the place, without taking it.
func (l *File) Held(place int64) (bool, error) {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: place, Len: 1}
	err := retryInterrupted(func() error { return unix.FcntlFlock(l.file.Fd(), unix.F_OFD_GETLK, &lock) })
	return lock.Type != unix.F_UNLCK, err
}
