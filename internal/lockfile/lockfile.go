package lockfile

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// File is the file beside a journal by which processes know of each other. It
// has places that the kernel unlocks when a process dies, however it dies: no
// heartbeats, no clocks, no process ids. Nothing is ever deleted.
type File struct {
	path  string
	file  *os.File
	info  os.FileInfo
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

// Wait locks a place, looking again until it is free or ctx ends, and returns what
// unlocks it.
func (l *File) Wait(ctx context.Context, place int64) (unlock func(), err error) {
	step := 100 * time.Microsecond
	for {
		ok, err := l.Try(place)
		if err != nil {
			return nil, fmt.Errorf("the lock file %s: %w", l.path, err)
		}
		if ok {
			return func() { l.Unlock(place) }, nil
		}
		timer := time.NewTimer(step)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
		step = min(2*step, 5*time.Millisecond)
	}
}

// MayAdopt refuses to begin a new journal under the lock file of another.
func (l *File) MayAdopt() error {
	id, err := l.id()
	if err != nil {
		return err
	}
	if id != "" {
		return fmt.Errorf("the journal is missing, but its lock file %s is there: put the journal back, or, if it was dropped on purpose and nothing is open at the far side, delete the lock file too", l.path)
	}
	return nil
}

// Tie writes the journal's id into the lock file, or checks it. What is no id is
// what a power loss left of writing one.
func (l *File) Tie(journal string, anyOpen func() (bool, error)) error {
	id, err := l.id()
	if err != nil {
		return err
	}
	if id == journal {
		return l.file.Sync() // who wrote it may have died before it was durable
	}
	if isJournalID(id) {
		return fmt.Errorf("the lock file %s belongs to another journal: the two were copied or moved apart; put them together again, or name another path", l.path)
	}
	open, err := anyOpen()
	if err != nil {
		return err
	}
	if open {
		return fmt.Errorf("the lock file %s is gone or damaged, and intents are open, so a process that has them cannot be told from a dead one: stop every process that uses this journal, then write %q into that file", l.path, journal)
	}
	if _, err := l.file.WriteAt([]byte(journal), 0); err != nil {
		return fmt.Errorf("the lock file: %w", err)
	}
	return l.file.Sync()
}

func (l *File) id() (string, error) {
	buf := make([]byte, 64)
	n, err := l.file.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("the lock file: %w", err)
	}
	const length = 32 // in hex; far behind it stand the witnesses
	if n >= length && isJournalID(string(buf[:length])) {
		return string(buf[:length]), nil
	}
	text, _, _ := strings.Cut(string(buf[:n]), "\x00")
	return strings.TrimSpace(text), nil
}

// isJournalID tells whether it is 16 bytes in hex.
func isJournalID(id string) bool {
	b, err := hex.DecodeString(id)
	return err == nil && len(b) == 16
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
	errs := []error{l.file.Close()}
	for _, f := range l.extra {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
