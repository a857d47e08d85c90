// Package lockfile locks slots of a file that processes share. The system unlocks a
// slot when the process that holds it ends, also by SIGKILL. So a locked slot proves
// a living process, without heartbeats, clocks or process IDs.
//
// The locks are made here by hand: gofrs/flock locks whole files, and cannot test a
// lock without taking it.
package lockfile

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// File is an open lock file, which lies beside the journal that it belongs to. Its
// slots exclude other Files of the same path, in this process and in others. They do
// not exclude users of the same File: on most systems Try takes a slot again that
// its File holds already.
//
// The file is never deleted: a process that has it open and a process that opens a
// new one would not see each other's locks.
type File struct {
	path string
	file *os.File
	info os.FileInfo

	mu    sync.Mutex
	extra map[int64]*os.File // by slot; used where the system locks whole files only; nil: closed
}

// The slots of a lock file.
const (
	OpeningSlot     = 0   // held while a journal is opened or created
	WriterQueueSlot = 1   // held while waiting for SQLite's write lock, so that writers take turns
	FirstOwnerSlot  = 16  // the slot of the first owner; the slots before it are reserved
	OwnerSlots      = 240 // how many owner slots there are
)

// Open opens the lock file at path and creates it if it does not exist. Open takes
// the access of other users away. It fails if the file cannot be opened for writing
// or its mode cannot be changed.
func Open(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the lock file: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = f.Chmod(0o600)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the lock file: %w", err), f.Close())
	}
	return &File{path: path, file: f, info: info, extra: map[int64]*os.File{}}, nil
}

// Path returns the path that Open received.
func (l *File) Path() string { return l.path }

// Info returns the file's description at the time of Open. Callers compare it with
// the file that is at Path later.
func (l *File) Info() os.FileInfo { return l.info }

// ReadAt reads what WriteAt has written. It implements io.ReaderAt.
func (l *File) ReadAt(b []byte, offset int64) (int, error) { return l.file.ReadAt(b, offset) }

// WriteAt writes b at offset and does not sync. Offsets from 8192 on are free: the
// journal's ID and the bytes that Windows locks come before. It implements
// io.WriterAt.
func (l *File) WriteAt(b []byte, offset int64) (int, error) { return l.file.WriteAt(b, offset) }

// Close unlocks every slot that this File holds and closes the file.
func (l *File) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	errs := []error{l.file.Close()}
	for _, f := range l.extra {
		errs = append(errs, f.Close())
	}
	l.extra = nil
	return errors.Join(errs...)
}
