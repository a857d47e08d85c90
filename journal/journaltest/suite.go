package journaltest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/idem-go/idem/journal"
)

// OpenJournal opens the store of this name, and makes it if it is absent. Names
// are short words; one name is one store for the whole suite.
type OpenJournal func(store string) (journal.Journal, error)

// OtherJournal opens a store once more while it is open, as another opener: for a
// store that a process opens once, in a process of its own (see Serve and Pipe).
// kill ends that opener as SIGKILL would: nothing is given up, nothing is written,
// and the journal is not used again.
type OtherJournal func(store string) (j journal.Journal, kill func() error, err error)

// Run checks that a journal does what the client relies on. Every check works on a
// store of its own. All failures are reported by one t.Fatalf.
func Run(t testing.TB, open OpenJournal, other OtherJournal) {
	t.Helper()
	if open == nil || other == nil {
		t.Fatalf("journaltest: Run needs a way to open a store, and a way to open it once more: without the second, ownership is not tested")
		return
	}
	var failed []string
	for _, check := range checks() {
		s := &session{open: open, other: other, store: strings.ReplaceAll(check.name, " ", "-")}
		j, err := s.journal()
		if err == nil {
			err = check.run(s, j)
		}
		if err = errors.Join(err, s.close()); err != nil {
			failed = append(failed, check.name+": "+err.Error())
		}
	}
	t.Logf("%d checks of the journal, %d failed", len(checks()), len(failed))
	if len(failed) > 0 {
		t.Fatalf("the journal does not do what journal.Journal asks for:\n%s", strings.Join(failed, "\n"))
	}
}

// check is one thing that a journal must do. run returns an error if the journal does
// not do it.
type check struct {
	name string
	run  func(s *session, j journal.Journal) error
}

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
		{"Late success", lateSuccess},
		{"Failed and tried again", triedAgain},
		{"Outcomes byte for byte", outcomesKept},
		{"Page", pages},
		{"Value", values},
		{"Audit", auditEntries},
		{"Counters and stats", counters},
		{"Prune", pruning},
		{"Close and open again", reopening},
		{"Ownership", ownership},
		{"Dead owner", deadOwner},
		{"Owner that lost its intent", formerOwner},
		{"Concurrent openers", concurrentOpeners},
	}
}

// session is the store of one check and its open journals.
type session struct {
	open   OpenJournal
	other  OtherJournal
	store  string
	opened []journal.Journal
}

// journal opens the store.
func (s *session) journal() (journal.Journal, error) {
	j, err := s.open(s.store)
	if err == nil {
		s.opened = append(s.opened, j)
	}
	return j, err
}

// another opens the store once more, as another opener.
func (s *session) another() (j journal.Journal, kill func() error, err error) {
	j, end, err := s.other(s.store)
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
		return nil, err
	}
	return s.journal()
}

// close closes what is still open.
func (s *session) close() error {
	var errs []error
	for _, j := range s.opened {
		errs = append(errs, j.Close())
	}
	return errors.Join(errs...)
}
