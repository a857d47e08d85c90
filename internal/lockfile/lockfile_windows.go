package lockfile

import (
	"errors"
	"syscall"
	"unsafe"
)

// Locks of byte ranges, which Windows drops when the handle's process dies.
const (
	lockExclusive       = 2
	lockFailImmediately = 1
	errLockViolation    = syscall.Errno(33)
	errIOPending        = syscall.Errno(997)
)

func kernel32(name string) *syscall.LazyProc {
	return syscall.NewLazyDLL("kernel32.dll").NewProc(name)
}

// offset keeps the places behind the lock file's text: a locked range cannot be
// read by others.
func offset(place int64) *syscall.Overlapped {
	return &syscall.Overlapped{Offset: uint32(4096 + place)}
}

func (l *File) Try(place int64) (bool, error) {
	ok, _, err := kernel32("LockFileEx").Call(l.file.Fd(), lockExclusive|lockFailImmediately, 0, 1, 0,
		uintptr(unsafe.Pointer(offset(place))))
	if ok != 0 {
		return true, nil
	}
	if errors.Is(err, errLockViolation) || errors.Is(err, errIOPending) {
		return false, nil
	}
	return false, err
}

func (l *File) Unlock(place int64) {
	kernel32("UnlockFileEx").Call(l.file.Fd(), 0, 1, 0, uintptr(unsafe.Pointer(offset(place))))
}

// Held tells whether another opener has the place. It has to take it to find out.
func (l *File) Held(place int64) (bool, error) {
	ok, err := l.Try(place)
	if ok {
		l.Unlock(place)
	}
	return !ok && err == nil, err
}
