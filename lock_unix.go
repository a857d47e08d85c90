//go:build unix && !linux

package idem

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// Locks of whole files, one file for each place: path.owners.16 and so on. Like
// Linux's locks of an open file description they belong to the descriptor.

func (l *lockFile) place(place int64) (*os.File, error) {
	if f := l.extra[place]; f != nil {
		return f, nil
	}
	f, err := os.OpenFile(l.path+"."+strconv.FormatInt(place, 10), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		l.extra[place] = f
	}
	return f, err
}

func (l *lockFile) try(place int64) (bool, error) {
	f, err := l.place(place)
	if err != nil {
		return false, err
	}
	err = retryInterrupted(func() error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) })
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func (l *lockFile) unlock(place int64) {
	if f := l.extra[place]; f != nil {
		retryInterrupted(func() error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) })
	}
}

// held tells whether another opener has the place. It has to take it to find out,
// on a descriptor of its own.
func (l *lockFile) held(place int64) (bool, error) {
	f, err := os.OpenFile(l.path+"."+strconv.FormatInt(place, 10), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false, err
	}
	err = retryInterrupted(func() error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) })
	held := errors.Is(err, syscall.EWOULDBLOCK)
	if held {
		err = nil
	}
	return held, errors.Join(err, f.Close())
}

func retryInterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// localFileSystem cannot be told here in one way for every system: a network file
// system is not noticed.
func localFileSystem(string) error { return nil }

// openHere refuses a file that this process has open already.
func openHere(path string) error {
	wanted, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		var stat syscall.Stat_t
		if syscall.Fstat(n, &stat) != nil {
			continue
		}
		if w, ok := wanted.Sys().(*syscall.Stat_t); ok && w.Dev == stat.Dev && w.Ino == stat.Ino {
			return fmt.Errorf("it is open in this process already: use that client, from as many goroutines as you like, or close it first")
		}
	}
	return nil
}

// manyNames tells whether a file has hard links.
func manyNames(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink > 1
}

func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
