package lockfile

import (
	"errors"

	"golang.org/x/sys/windows"
)

// Try locks a slot if no other File holds it. It reports whether Try locked it, and
// does not wait. Unlike on other systems Try reports false for a slot that this File
// holds. It fails if the system cannot lock.
func (l *File) Try(slot int64) (bool, error) {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(l.file.Fd()), flags, 0, 1, 0, byteOf(slot))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}

// Unlock unlocks a slot that this File holds.
func (l *File) Unlock(slot int64) {
	windows.UnlockFileEx(windows.Handle(l.file.Fd()), 0, 1, 0, byteOf(slot))
}

// Held reports whether another File, or this one, holds a slot. Windows cannot test
// a lock, so Held takes it for a moment; another call at the same time may find the
// slot locked.
func (l *File) Held(slot int64) (bool, error) {
	ok, err := l.Try(slot)
	if ok {
		l.Unlock(slot)
	}
	return !ok && err == nil, err
}

// byteOf returns where the byte of a slot is. The bytes lie behind the journal's ID,
// because Windows refuses other processes to read a byte that is locked.
func byteOf(slot int64) *windows.Overlapped {
	return &windows.Overlapped{Offset: uint32(4096 + slot)}
}
