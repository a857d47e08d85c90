//go:build cgo

package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/idem-go/idem/internal/sqlite"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/journal"
	"github.com/idem-go/idem/journal/journaltest"
)

// journalAway makes this binary the other opener of the journal at its path.
const journalAway = "IDEM_TEST_JOURNAL"

func init() {
	path := os.Getenv(journalAway)
	if path == "" {
		return
	}
	j, err := sqlite.Open(path)
	if err == nil {
		err = errors.Join(journaltest.Serve(j, os.Stdin, os.Stdout), j.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// TestSQLiteJournal: the journal on SQLite does what any journal must, alone and
// among two processes.
func TestSQLiteJournal(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(t *testing.T) journaltest.Store {
		path := testkit.NewPath(t)
		return journaltest.Store{
			Open:      func() (journal.Journal, error) { return sqlite.Open(path) },
			OpenOther: func() (journal.Journal, func() error, error) { return openChild(t, path) },
		}
	})
}

// openChild opens a journal in a process of its own.
func openChild(t *testing.T, path string) (journal.Journal, func() error, error) {
	out, in, kill, err := testkit.Piped(t, journalAway+"="+path)
	if err != nil {
		return nil, nil, err
	}
	return journaltest.Pipe(out, in), kill, nil
}
