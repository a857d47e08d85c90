package lockfile

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// File is the file beside a journal by which processes know of each other. It
// has places that the kernel unlocks when a process dies, however it dies: no
// heartbeats, no clocks, no process ids. Nothing is ever deleted.
type File struct {
	path string
	file *os.File
	info os.FileInfo

	mu    sync.Mutex
	extra map[int64]*os.File // where the system locks whole files: one for each place
}

const (
	OpeningSlot     = 0  // held while a journal is opened or made
	WriterQueueSlot = 1  // held while waiting for SQLite's write lock, so that writers take turns
	FirstOwnerSlot  = 16 // the first owner's slot
	OwnerSlots      = 240
)

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

// Path returns where the file was opened.
func (l *File) Path() string { return l.path }

// Info describes the file as it was when it was opened.
func (l *File) Info() os.FileInfo { return l.info }

// ReadAt reads what WriteAt wrote. It implements io.ReaderAt.
func (l *File) ReadAt(b []byte, offset int64) (int, error) { return l.file.ReadAt(b, offset) }

// WriteAt writes behind the slots, without a sync. It implements io.WriterAt.
func (l *File) WriteAt(b []byte, offset int64) (int, error) { return l.file.WriteAt(b, offset) }

// Close drops every lock that this process holds on the file.
func (l *File) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	errs := []error{l.file.Close()}
	for _, f := range l.extra {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
