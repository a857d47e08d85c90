package journaltest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/idem-go/idem/journal"
)

// Store is one store under test.
type Store struct {
	// Open opens the store in this process. A check calls Open again only after it has
	// closed the journal before.
	Open func() (journal.Journal, error)

	// OpenOther opens the store as another opener, in this process or in another one,
	// while the journal that Open returned is open. kill ends that opener as SIGKILL
	// ends a process: nothing is written or given up. It returns once the store can
	// prove the opener's death. The journal is not used after kill, nor closed.
	OpenOther func() (j journal.Journal, kill func() error, err error)
}

// Run checks a Journal. It calls newStore for each check, which runs as a subtest with
// a new, empty store. t is the one of the subtest. The subtests of an optional
// interface that the Journal does not implement are skipped.
func Run(t *testing.T, newStore func(t *testing.T) Store) {
	t.Helper()
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			err := c.do(newStore(t))
			if reason, ok := err.(notApplicable); ok {
				t.Skip(reason)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// check is one thing that a journal must do. run gets an open journal and returns an
// error if the journal does not do it.
type check struct {
	name string
	run  func(s *session, j journal.Journal) error
}

// do runs the check on a store and closes all journals.
func (c check) do(store Store) error {
	if store.Open == nil || store.OpenOther == nil {
		return errors.New("journaltest: Store.Open or Store.OpenOther is nil: set both; ownership needs two openers")
	}
	s := &session{store: store}
	j, err := s.open()
	if err == nil {
		err = c.run(s, j)
	}
	if closing := s.close(); closing != nil {
		err = errors.Join(err, closing)
	}
	return err
}

// notApplicable is the error of a check that has nothing to check, and why.
type notApplicable string

// Error implements error.
func (n notApplicable) Error() string { return string(n) }

// checks returns the checks of the suite.
func checks() []check {
	return []check{
		{"Begin keeps every field", beginKeeps},
		{"Begin finds the newest successor", beginFinds},
		{"Begin adds a successor to the newest", beginSucceeds},
		{"Begin rejects a key twice", beginKeyTwice},
		{"Begin with a canceled context", beginCanceled},
		{"Begin concurrently", beginConcurrently},
		{"Duplicate window", duplicateWindow},
		{"Aliases", aliases},
		{"Limits", limits},
		{"Change checks the version", changeVersions},
		{"Change concurrently", changeConcurrently},
		{"Claim of an older intent", claimNewest},
		{"Claim of a settled intent", claimSettled},
		{"Claim within a limit", claimLimit},
		{"Claim of a duplicate", claimDuplicate},
		{"Claim of a released intent", claimReleased},
		{"Claim concurrently", manyClaim},
		{"Costs that overflow", claimCost},
		{"Late success", lateSuccess},
		{"Failed and tried again", triedAgain},
		{"Outcomes byte for byte", outcomesKept},
		{"Page", pages},
		{"Value", values},
		{"Audit", auditEntries},
		{"Counters and stats", counters},
		{"Prune", pruning},
		{"Prune drops aliases", pruningAliases},
		{"Prune keeps what is open", pruningSuccessor},
		{"Close and open again", reopening},
		{"Ownership", ownership},
		{"Dead owner", deadOwner},
		{"Owner that lost its intent", formerOwner},
		{"Concurrent openers", concurrentOpeners},
		{"NewKey", newKeys},
		{"NewKey concurrently", newKeysConcurrently},
		{"Cached returns only what succeeded", cachedUnsettled},
		{"Cached equals Get", cachedEqual},
		{"Cached after a change", cachedChanged},
		{"Cached after a change by another opener", cachedChangedByOther},
		{"Cached records are shared", cachedShared},
	}
}

// session is the store of one check and its open journals.
type session struct {
	store  Store
	opened []journal.Journal
}

// open opens the store.
func (s *session) open() (journal.Journal, error) {
	j, err := s.store.Open()
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	s.opened = append(s.opened, j)
	return j, nil
}

// openOther opens the store as another opener.
func (s *session) openOther() (j journal.Journal, kill func() error, err error) {
	j, end, err := s.store.OpenOther()
	if err != nil {
		return nil, nil, fmt.Errorf("opening the store as another opener: %w", err)
	}
	s.opened = append(s.opened, j)
	return j, func() error { s.forget(j); return end() }, nil
}

// forget removes a journal that is closed or killed.
func (s *session) forget(j journal.Journal) {
	s.opened = slices.DeleteFunc(s.opened, func(o journal.Journal) bool { return o == j })
}

// reopen closes j and opens the store again.
func (s *session) reopen(j journal.Journal) (journal.Journal, error) {
	s.forget(j)
	if err := j.Close(); err != nil {
		return nil, fmt.Errorf("closing the journal: %w", err)
	}
	return s.open()
}

// close closes what is still open.
func (s *session) close() error {
	var errs []error
	for _, j := range s.opened {
		errs = append(errs, j.Close())
	}
	return errors.Join(errs...)
}
