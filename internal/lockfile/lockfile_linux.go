package lockfile

import (
	"errors"
	"io"
	"syscall"
)

// Locks of an open file description: they belong to the descriptor that took
// them, so that closing another descriptor of the same file, or a child that was
// started, changes nothing. The numbers are the kernel's and the same on every
// architecture.
const (
	ofdGetLock = 36
	ofdSetLock = 37
)

func (l *File) Try(place int64) (bool, error) {
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: place, Len: 1}
	err := retryInterrupted(func() error { return syscall.FcntlFlock(l.file.Fd(), ofdSetLock, &lock) })
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return false, nil
	}
	return err == nil, err
}

func (l *File) Unlock(place int64) {
	lock := syscall.Flock_t{Type: syscall.F_UNLCK, Whence: io.SeekStart, Start: place, Len: 1}
	retryInterrupted(func() error { return syscall.FcntlFlock(l.file.Fd(), ofdSetLock, &lock) })
}

// Held tells whether another opener has the place, without taking it.
func (l *File) Held(place int64) (bool, error) {
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: place, Len: 1}
	err := retryInterrupted(func() error { return syscall.FcntlFlock(l.file.Fd(), ofdGetLock, &lock) })
	return lock.Type != syscall.F_UNLCK, err
}

func retryInterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
