//go:build unix && !linux

package lockfile

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Locks of whole files, one file for each place: path.owners.16 and so on. Like
// Linux's locks of an open file description they belong to the descriptor.

func (l *File) place(place int64) (*os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.extra[place]; f != nil {
		return f, nil
	}
	f, err := os.OpenFile(l.path+"."+strconv.FormatInt(place, 10), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		l.extra[place] = f
	}
	return f, err
}

func (l *File) Try(place int64) (bool, error) {
	f, err := l.place(place)
	if err != nil {
		return false, err
	}
	err = retryInterrupted(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func (l *File) Unlock(place int64) {
	l.mu.Lock()
	f := l.extra[place]
	l.mu.Unlock()
	if f != nil {
		retryInterrupted(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) })
	}
}

// Held tells whether another opener has the place. It has to take it to find out,
// on a descriptor of its own, but shares it, so that two that look at the same time
// do not take each other for its owner.
func (l *File) Held(place int64) (bool, error) {
	f, err := os.OpenFile(l.path+"."+strconv.FormatInt(place, 10), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false, err
	}
	err = retryInterrupted(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) })
	held := errors.Is(err, unix.EWOULDBLOCK)
	if held {
		err = nil
	}
	return held, errors.Join(err, f.Close())
}
