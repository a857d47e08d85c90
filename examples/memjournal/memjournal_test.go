package memjournal_test

import (
	"testing"

	"github.com/idem-go/idem/examples/memjournal"
	"github.com/idem-go/idem/journal"
	"github.com/idem-go/idem/journal/journaltest"
)

// TestJournal: a journal in memory does what any journal must.
func TestJournal(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(*testing.T) journaltest.Store {
		s := memjournal.New()
		return journaltest.Store{
			Open: func() (journal.Journal, error) { return s.Open(), nil },
			OpenOther: func() (journal.Journal, func() error, error) {
				j := s.Open()
				return j, j.Kill, nil
			},
		}
	})
}
