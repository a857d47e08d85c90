package idem

import (
	"github.com/idem-go/idem/internal/sqlite"
	"github.com/idem-go/idem/journal"
)

// Journal keeps intents.
type Journal = journal.Journal

// Operation says what is done and which use of it this is.
type Operation = journal.Operation

// State is where an intent stands.
type State = journal.State

const (
	Pending   = journal.Pending
	Succeeded = journal.Succeeded
	Failed    = journal.Failed
	InDoubt   = journal.InDoubt
)

// Limit is a budget.
type Limit = journal.Limit

// Filter selects intents.
type Filter = journal.Filter

// Stats are durable counts.
type Stats = journal.Stats

// ErrMaybeRecorded: the journal failed half-way through Begin.
var ErrMaybeRecorded = journal.ErrMaybeRecorded

// OpenJournal opens or makes the SQLite journal at path, as Open does, without a
// client on it: for New, for a server, for tools. Close it.
func OpenJournal(path string) (Journal, error) {
	s, err := sqlite.Open(path)
	if err != nil {
		return nil, err
	}
	return s, nil
}
