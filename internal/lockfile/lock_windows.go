package lockfile

import (
	"errors"

	"golang.org/x/sys/windows"
)

// Locks of byte ranges, which Windows drops when the handle's process dies.

// offset keeps the places behind the lock file's text: a locked range cannot be
// read by others.
func offset(place int64) *windows.Overlapped {
	return &windows.Overlapped{Offset: uint32(4096 + place)}
}

func (l *File) Try(place int64) (bool, error) {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(l.file.Fd()), flags, 0, 1, 0, offset(place))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}

func (l *File) Unlock(place int64) {
	windows.UnlockFileEx(windows.Handle(l.file.Fd()), 0, 1, 0, offset(place))
}

// Held tells whether another opener has the place. It has to take it to find out.
func (l *File) Held(place int64) (bool, error) {
	ok, err := l.Try(place)
	if ok {
		l.Unlock(place)
	}
	return !ok && err == nil, err
}
