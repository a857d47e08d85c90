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
	current, ok, err := j.Change(context.Background(), c)
	if err != nil || !ok || current != nil {
		return fmt.Errorf("Change %d of %s (kind %d, state %s): ok %t, a record %t, error %v; want it appended, without a record",
			c.Version, c.Key, c.Kind, c.State, ok, current != nil, err)
	}
	return nil
}

// expectReject returns an error unless c is rejected with the intent as it is, at the
// given version.
func expectReject(j journal.Journal, c *journal.Change, version int) error {
	current, ok, err := j.Change(context.Background(), c)
	switch {
	case err != nil:
		return fmt.Errorf("Change %d of %s: %w", c.Version, c.Key, err)
	case ok:
		return fmt.Errorf("Change %d of %s (kind %d, state %s) was appended; want it rejected", c.Version, c.Key, c.Kind, c.State)
	case current == nil || current.Key != c.Key || current.Summary().Version != version:
		return fmt.Errorf("Change %d of %s was rejected without the intent as it is, at version %d", c.Version, c.Key, version)
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
