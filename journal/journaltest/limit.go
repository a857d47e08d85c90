package journaltest

import (
	"fmt"
	"time"

	"github.com/idem-go/idem/journal"
)

// duplicate returns a record that has the same payload whatever its ID.
func duplicate(key, id string) *journal.Record {
	r := newRecord(key, id)
	r.Fingerprint = [32]byte{1}
	return r
}

// duplicateWindow checks that Begin finds an intent with the same scope, name and
// fingerprint that was created inside the window.
func duplicateWindow(_ *session, j journal.Journal) error {
	if err := expectInsert(j, newRecord("k0", "unchecked")); err != nil {
		return err
	}
	window := journal.Checks{DuplicatesSince: minute(-10)}
	if err := expectConflict(j, duplicate("k1", "a"), window, journal.NoConflict, ""); err != nil {
		return err
	}
	for _, id := range []string{"b", ""} {
		if err := expectConflict(j, duplicate("k2", id), window, journal.ConflictDuplicate, "k1"); err != nil {
			return err
		}
	}
	if err := expectConflict(j, duplicate("k2", "a"), window, journal.ConflictIdentity, "k1"); err != nil {
		return fmt.Errorf("the identity is checked first: %w", err)
	}
	later := journal.Checks{DuplicatesSince: minute(0).Add(1)}
	if err := expectConflict(j, duplicate("k3", "c"), later, journal.NoConflict, ""); err != nil {
		return fmt.Errorf("the other was created before the window: %w", err)
	}
	for i, change := range []func(r *journal.Record){
		func(r *journal.Record) { r.Fingerprint[0] = 2 },
		func(r *journal.Record) { r.Operation.Scope = "another" },
		func(r *journal.Record) { r.Operation.Name = "refund" },
	} {
		r := duplicate(fmt.Sprint("o", i), fmt.Sprint("other", i))
		change(r)
		if err := expectConflict(j, r, window, journal.NoConflict, ""); err != nil {
			return fmt.Errorf("another payload, scope or name: %w", err)
		}
	}
	failed := duplicate("k5", "x")
	failed.Operation.Scope = "failing"
	if err := expectConflict(j, failed, window, journal.NoConflict, ""); err != nil {
		return err
	}
	if err := expectAppend(j, newChange("k5", 1, journal.Settled, journal.Failed)); err != nil {
		return err
	}
	again := duplicate("k6", "y")
	again.Operation.Scope = "failing"
	if err := expectConflict(j, again, window, journal.NoConflict, ""); err != nil {
		return fmt.Errorf("the other has failed: %w", err)
	}
	return nil
}

// aliases checks that an ID which met a duplicate stays an alias of its intent, if
// Checks.Alias says so.
func aliases(s *session, j journal.Journal) error {
	window := journal.Checks{DuplicatesSince: minute(-10)}
	alias := window
	alias.Alias = true
	if err := expectConflict(j, duplicate("k1", "a"), alias, journal.NoConflict, ""); err != nil {
		return err
	}
	if err := expectConflict(j, duplicate("k2", "b"), alias, journal.ConflictDuplicate, "k1"); err != nil {
		return err
	}
	if err := expectConflict(j, duplicate("k2", "c"), window, journal.ConflictDuplicate, "k1"); err != nil {
		return err
	}
	j, err := s.reopen(j)
	if err != nil {
		return err
	}
	other := duplicate("k2", "b")
	other.Fingerprint[0] = 9
	if err := expectConflict(j, other, journal.Checks{}, journal.ConflictDuplicate, "k1"); err != nil {
		return fmt.Errorf("an alias is durable, whatever the payload and the window: %w", err)
	}
	if err := expectConflict(j, duplicate("k3", "c"), journal.Checks{}, journal.NoConflict, ""); err != nil {
		return fmt.Errorf("without Checks.Alias: %w", err)
	}
	return nil
}

// limits checks both budgets: of intents and of cost.
func limits(_ *session, j journal.Journal) error {
	two := journal.Checks{Limit: journal.Limit{Intents: 2, Per: time.Hour}, LimitSince: minute(-60)}
	for _, id := range []string{"a", "b"} {
		if err := expectConflict(j, newRecord("k"+id, id), two, journal.NoConflict, ""); err != nil {
			return err
		}
	}
	if err := expectConflict(j, newRecord("kc", "c"), two, journal.ConflictLimit, ""); err != nil {
		return err
	}
	if err := expectConflict(j, newRecord("kx", "a"), two, journal.ConflictIdentity, "ka"); err != nil {
		return fmt.Errorf("an existing intent needs no budget: %w", err)
	}
	elsewhere := newRecord("ke", "e")
	elsewhere.Operation.Scope = "another"
	if err := expectConflict(j, elsewhere, two, journal.NoConflict, ""); err != nil {
		return fmt.Errorf("each scope has its own budget: %w", err)
	}
	if err := expectAppend(j, newChange("kb", 1, journal.Settled, journal.Failed)); err != nil {
		return err
	}
	if err := expectConflict(j, newRecord("kc", "c"), two, journal.NoConflict, ""); err != nil {
		return fmt.Errorf("a failed intent does not count: %w", err)
	}
	if err := expectConflict(j, newRecord("ky", "b"), two, journal.ConflictLimit, ""); err != nil {
		return fmt.Errorf("a failed intent would count if it was tried again: %w", err)
	}
	later := two
	later.LimitSince = minute(1)
	if err := expectConflict(j, newRecord("kd", "d"), later, journal.NoConflict, ""); err != nil {
		return fmt.Errorf("the others were created before LimitSince: %w", err)
	}
	cost := journal.Checks{Limit: journal.Limit{Cost: 20, Per: time.Hour}, LimitSince: minute(-60)}
	for i, want := range []journal.Conflict{journal.NoConflict, journal.NoConflict, journal.ConflictLimit} { // 7 each
		r := newRecord(fmt.Sprint("cost", i), fmt.Sprint("cost", i))
		r.Operation.Scope = "costly"
		if err := expectConflict(j, r, cost, want, ""); err != nil {
			return err
		}
	}
	return nil
}
