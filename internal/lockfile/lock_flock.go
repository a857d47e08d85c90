//go:build unix && !linux

package lockfile

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Unix systems other than Linux lock whole files with flock, so each slot has a file
// of its own: path.16 for slot 16. Like Linux's locks of an open file description
// these locks belong to the descriptor.

// Try locks a slot if no other File holds it. It reports whether this File now holds
// the slot, and does not wait. It fails if the slot's file cannot be opened or the
// system cannot lock.
func (l *File) Try(slot int64) (bool, error) {
	f, err := l.slotFile(slot)
	if err != nil {
		return false, err
	}
	return tryFlock(f, unix.LOCK_EX)
}

// Unlock unlocks a slot that this File holds.
func (l *File) Unlock(slot int64) {
	l.mu.Lock()
	f := l.extra[slot]
	l.mu.Unlock()
	if f != nil {
		retryInterrupted(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) })
	}
}

// Held reports whether another File, or this one, holds a slot. flock cannot test a
// lock, so Held takes a shared lock for a moment, on a descriptor of its own. Two
// calls at the same time share it and both report false; a Try at the same time may
// find the slot locked.
func (l *File) Held(slot int64) (bool, error) {
	f, err := openSlotFile(l.path, slot)
	if err != nil {
		return false, err
	}
	ok, err := tryFlock(f, unix.LOCK_SH)
	return !ok && err == nil, errors.Join(err, f.Close())
}

// slotFile returns the open file of a slot, and opens it at the first call.
func (l *File) slotFile(slot int64) (*os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.extra == nil {
		return nil, os.ErrClosed
	}
	if f := l.extra[slot]; f != nil {
		return f, nil
	}
	f, err := openSlotFile(l.path, slot)
	if err == nil {
		l.extra[slot] = f
	}
	return f, err
}

func openSlotFile(path string, slot int64) (*os.File, error) {
	return os.OpenFile(path+"."+strconv.FormatInt(slot, 10), os.O_CREATE|os.O_RDWR, 0o600)
}

// tryFlock locks a file unless another descriptor holds a lock that excludes it, and
// reports whether it did.
func tryFlock(f *os.File, how int) (bool, error) {
	err := retryInterrupted(func() error { return unix.Flock(int(f.Fd()), how|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
