package lockfile

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

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
