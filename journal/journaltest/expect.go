package journaltest

import (
	"context"
	"fmt"

	"github.com/idem-go/idem/journal"
)

// expectInsert begins r and returns an error unless it was inserted.
func expectInsert(j journal.Journal, r *journal.Record) error {
	return expectConflict(j, r, journal.Checks{}, journal.NoConflict, "")
}

// expectConflict begins r and returns an error unless it meets the conflict want with
// the intent of a key. An empty key stands for no intent.
func expectConflict(j journal.Journal, r *journal.Record, checks journal.Checks, want journal.Conflict, key string) error {
	conflict, current, err := j.Begin(context.Background(), r, checks)
	got := ""
	if current != nil {
		got = current.Key
	}
	if err != nil || conflict != want || got != key {
		return fmt.Errorf("Begin of %s %q: conflict %d with intent %q, error %v; want conflict %d with %q",
			r.Key, r.Operation.ID, conflict, got, err, want, key)
	}
	return nil
}

// expectAppend returns an error unless c is appended.
func expectAppend(j journal.Journal, c *journal.Change) error {
	conflict, current, err := j.Change(context.Background(), c)
	if err != nil || conflict != journal.NoConflict || current != nil {
		return fmt.Errorf("Change %d of %s (kind %d, state %s): conflict %d, a record %t, error %v; want it appended, without a record",
			c.Version, c.Key, c.Kind, c.State, conflict, current != nil, err)
	}
	return nil
}

// expectReject returns an error unless c is rejected with the intent as it is, at the
// given version.
func expectReject(j journal.Journal, c *journal.Change, version int) error {
	conflict, current, err := j.Change(context.Background(), c)
	switch {
	case err != nil:
		return fmt.Errorf("Change %d of %s: %w", c.Version, c.Key, err)
	case conflict == journal.NoConflict:
		return fmt.Errorf("Change %d of %s (kind %d, state %s) was appended; want it rejected", c.Version, c.Key, c.Kind, c.State)
	case conflict != journal.ConflictVersion:
		return fmt.Errorf("Change %d of %s: conflict %d; want %d", c.Version, c.Key, conflict, journal.ConflictVersion)
	case current == nil || current.Key != c.Key || current.Summary().Version != version:
		return fmt.Errorf("Change %d of %s was rejected without the intent as it is, at version %d", c.Version, c.Key, version)
	}
	return nil
}

// expectClaimConflict returns an error unless a claim is refused for the wanted reason,
// with the intent that has the given key; an empty key: with no intent.
func expectClaimConflict(j journal.Journal, c *journal.Change, want journal.Conflict, key string) error {
	conflict, other, err := j.Change(context.Background(), c)
	got := ""
	if other != nil {
		got = other.Key
	}
	if err != nil || conflict != want || got != key {
		return fmt.Errorf("claim %d of %s: conflict %d with intent %q, error %v; want conflict %d with %q", c.Version, c.Key, conflict, got, err, want, key)
	}
	return nil
}

// expectRecord reads an intent and returns an error if it does not exist.
func expectRecord(j journal.Journal, key string) (*journal.Record, error) {
	r, err := j.Get(context.Background(), key)
	if err != nil || r == nil {
		return nil, fmt.Errorf("Get of %s: a record %t, error %v; want a record", key, r != nil, err)
	}
	return r, nil
}

// expectOwner returns an error unless j sees the intent owned as want says.
func expectOwner(j journal.Journal, key string, want journal.Ownership) error {
	r, err := expectRecord(j, key)
	if err == nil && r.Owner != want {
		err = fmt.Errorf("the owner of %s is %d, want %d (0 none, 1 this opener, 2 a live one, 3 a dead one)", key, r.Owner, want)
	}
	return err
}
