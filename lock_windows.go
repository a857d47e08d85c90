package idem

import (
	"errors"
	"os"
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

func (l *lockFile) try(place int64) (bool, error) {
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

func (l *lockFile) unlock(place int64) {
	kernel32("UnlockFileEx").Call(l.file.Fd(), 0, 1, 0, uintptr(unsafe.Pointer(offset(place))))
}

// held tells whether another opener has the place. It has to take it to find out.
func (l *lockFile) held(place int64) (bool, error) {
	ok, err := l.try(place)
	if ok {
		l.unlock(place)
	}
	return !ok && err == nil, err
}

// Windows does not tell the kind of a file system in this way: a network share is
// not noticed. Nor does it tell which files a process has open.
func localFileSystem(string) error { return nil }
func openHere(string) error        { return nil }

// syncFolder does nothing: Windows cannot sync a folder.
// manyNames cannot be told here without opening the file.
func manyNames(os.FileInfo) bool { return false }

func syncFolder(string) error { return nil }
