package idem

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// lockFile is the file beside a journal by which processes know of each other. It
// has places that the kernel unlocks when a process dies, however it dies: no
// heartbeats, no clocks, no process ids. Nothing is ever deleted.
type lockFile struct {
	path  string
	file  *os.File
	info  os.FileInfo
	extra map[int64]*os.File // where the system locks whole files: one for each place
}

const (
	placeOpening = 0  // held while a journal is opened or made
	placeTurn    = 1  // held while waiting for SQLite's write lock, so that writers take turns
	placeSlots   = 16 // the first owner's slot
	slotCount    = 240
)

func openLockFile(path string) (*lockFile, error) {
	_, err := os.Stat(path)
	isNew := errors.Is(err, os.ErrNotExist)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the lock file: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = f.Chmod(0o600)
	}
	if err == nil && isNew {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the lock file: %w", err), f.Close())
	}
	return &lockFile{path: path, file: f, info: info, extra: map[int64]*os.File{}}, nil
}

// wait locks a place, looking again until it is free or ctx ends, and returns what
// unlocks it.
func (l *lockFile) wait(ctx context.Context, place int64) (unlock func(), err error) {
	step := 100 * time.Microsecond
	for {
		ok, err := l.try(place)
		if err != nil {
			return nil, fmt.Errorf("the lock file %s: %w", l.path, err)
		}
		if ok {
			return func() { l.unlock(place) }, nil
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

// same tells whether the lock file at the path is still the one that is open.
func (l *lockFile) same() error {
	if ok, _ := isFile(l.path, l.info); ok {
		return nil
	}
	return fmt.Errorf("the lock file %s is gone or another one is in its place, so other processes cannot know of this one: close the client and open it again", l.path)
}

// mayAdopt refuses to begin a new journal under the lock file of another.
func (l *lockFile) mayAdopt() error {
	id, err := l.id()
	if err != nil {
		return err
	}
	if id != "" {
		return fmt.Errorf("the journal is missing, but its lock file %s is there: put the journal back, or, if it was dropped on purpose and nothing is open at the far side, delete the lock file too", l.path)
	}
	return nil
}

// tie writes the journal's id into the lock file, or checks it. What is no id is
// what a power loss left of writing one.
func (l *lockFile) tie(journal string, anyOpen func() (bool, error)) error {
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

func (l *lockFile) id() (string, error) {
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

func (l *lockFile) close() error {
	errs := []error{l.file.Close()}
	for _, f := range l.extra {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
