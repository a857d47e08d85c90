//go:build cgo

package sqlite

import (
	"errors"
	"fmt"
	"io"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/idem-go/idem/journal"
)

func isEOF(err error) bool { return err == io.EOF }

func isBusy(err error) bool {
	var s sqlite3.Error
	return errors.As(err, &s) && (s.Code == sqlite3.ErrBusy || s.Code == sqlite3.ErrLocked)
}

func isReadOnly(err error) bool {
	var s sqlite3.Error
	return errors.As(err, &s) && s.Code == sqlite3.ErrReadonly
}

// plain says in words what SQLite says in a few letters.
func plain(err error) error {
	var s sqlite3.Error
	if err == nil || !errors.As(err, &s) {
		return err
	}
	hint := ""
	switch s.Code {
	case sqlite3.ErrFull:
		hint = "the disk is full"
	case sqlite3.ErrReadonly:
		hint = "the journal or its folder is read-only"
	case sqlite3.ErrCantOpen:
		hint = "the journal or one of the files beside it cannot be opened: look at the folder, its permissions and the limit of open files"
	case sqlite3.ErrIoErr:
		hint = "the disk failed"
	case sqlite3.ErrNotADB:
		hint = "the file is not a SQLite database: name another file, or restore this one"
	case sqlite3.ErrCorrupt:
		hint = "the file is damaged: restore it, or look at it with sqlite3's .recover"
	case sqlite3.ErrTooBig:
		hint = "a value is too large for SQLite"
	case sqlite3.ErrNomem:
		hint = "SQLite is out of memory"
	default:
		return err
	}
	if s.SystemErrno != 0 {
		hint += " (" + s.SystemErrno.Error() + ")"
	}
	return fmt.Errorf("%s: %w", hint, err)
}

// commitError is a COMMIT that failed: its rows may be durable.
type commitError struct{ err error }

func (e *commitError) Error() string { return fmt.Sprintf("its commit failed: %v", plain(e.err)) }

func (e *commitError) Unwrap() []error { return []error{journal.ErrMaybeRecorded, e.err} }
