package lockfile

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// MayAdopt returns an error if the lock file has a journal's ID. A caller that is
// about to create a journal asks it, because the journal with that ID is missing.
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

// Tie writes the ID of a journal into the lock file, or compares it with the ID that
// is there, and syncs the file. It fails if the file has the ID of another journal.
// It also fails if the file has no ID and anyOpen reports open intents: their owners
// may hold slots of a lock file that was replaced.
//
// A power loss during Tie can leave a part of an ID; Tie overwrites it.
func (l *File) Tie(journal string, anyOpen func() (bool, error)) error {
	id, err := l.id()
	if err != nil {
		return err
	}
	if id == journal {
		return l.file.Sync() // the process that wrote it may have died before its sync
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

// id returns the journal ID in the lock file, or the text that is there instead of
// one. It returns "" for an empty file.
func (l *File) id() (string, error) {
	buf := make([]byte, 64)
	n, err := l.file.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("the lock file: %w", err)
	}
	const length = 32 // of an ID in hex
	if n >= length && isJournalID(string(buf[:length])) {
		return string(buf[:length]), nil
	}
	text, _, _ := strings.Cut(string(buf[:n]), "\x00")
	return strings.TrimSpace(text), nil
}

// isJournalID reports whether id is 16 bytes in hex.
func isJournalID(id string) bool {
	b, err := hex.DecodeString(id)
	return err == nil && len(b) == 16
}
