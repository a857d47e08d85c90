package sim

import (
	"testing"

	"github.com/idem-go/idem/journal"
	"github.com/idem-go/idem/journal/journaltest"
)

// TestStore: the journal that simulated agents share does what any journal must.
func TestStore(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(*testing.T) journaltest.Store {
		s := newStore()
		return journaltest.Store{
			Open: func() (journal.Journal, error) { return s.open(), nil },
			OpenOther: func() (journal.Journal, func() error, error) {
				o := s.open()
				return o, o.kill, nil
			},
		}
	})
}
