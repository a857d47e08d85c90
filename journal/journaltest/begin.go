package journaltest

import (
	"context"
	"fmt"
	"sync"

	"github.com/idem-go/idem/journal"
)

// beginKeeps checks that Begin stores every field, and neither changes nor keeps the
// record it is given.
func beginKeeps(_ *session, j journal.Journal) error {
	r, want := newRecord("k1", "order-1"), newRecord("k1", "order-1")
	if err := expectInsert(j, r); err != nil {
		return err
	}
	if err := sameCreation(r, want); err != nil {
		return fmt.Errorf("Begin changed the record it was given: %w", err)
	}
	clear(r.Payload)
	clear(r.Head)
	got, err := expectRecord(j, "k1")
	if err != nil {
		return err
	}
	summary := got.Summary()
	switch {
	case summary.Version != 0 || summary.State != journal.Pending || len(got.Changes) != 0:
		return fmt.Errorf("a new intent has version %d, state %s and %d changes; want 0, pending and 0", summary.Version, summary.State, len(got.Changes))
	case got.Owner != journal.OwnedBySelf:
		return fmt.Errorf("the owner of a new intent is %d; want the opener that began it", got.Owner)
	case !got.PrunedAt.IsZero():
		return fmt.Errorf("a new intent was pruned at %v", got.PrunedAt)
	}
	if err := sameCreation(got, want); err != nil {
		return err
	}
	if none, err := j.Get(context.Background(), "k2"); none != nil || err != nil {
		return fmt.Errorf("Get of an unknown key: a record %t, error %v; want neither", none != nil, err)
	}
	return nil
}

// beginFinds checks what belongs to the identity: scope, name, ID and repeat, and not
// the payload.
func beginFinds(_ *session, j journal.Journal) error {
	if err := expectInsert(j, newRecord("k1", "order-1")); err != nil {
		return err
	}
	again := newRecord("k2", "order-1")
	again.Fingerprint[0]++
	if err := expectConflict(j, again, journal.Checks{}, journal.ConflictIdentity, "k1"); err != nil {
		return err
	}
	_, current, err := j.Begin(context.Background(), again, journal.Checks{})
	if err != nil {
		return err
	}
	if err := sameCreation(current, newRecord("k1", "order-1")); err != nil {
		return err
	}
	for i, other := range []journal.Operation{
		{Name: "charge", Scope: "run \x00 2", ID: "order-1"},
		{Name: "charges", Scope: "run \x00 1", ID: "order-1"},
		{Name: "charge", Scope: "run \x00 1", ID: "order-2"},
		{Name: "charge", Scope: "run \x00 1", ID: "order-1", Repeat: 1},
		{Name: "charge", Scope: "run \x00 1o", ID: "rder-1"},
		{Name: "charge", Scope: "run ", ID: "1order-1"},
		{Name: "charge", ID: "order-1"},
	} {
		r := newRecord(fmt.Sprint("other", i), "")
		r.Operation = other
		if err := expectInsert(j, r); err != nil {
			return fmt.Errorf("another identity (%v): %w", other, err)
		}
	}
	for _, key := range []string{"f1", "f2"} {
		if err := expectInsert(j, newRecord(key, "")); err != nil {
			return fmt.Errorf("without an ID, which is no identity: %w", err)
		}
	}
	return nil
}

// beginSucceeds checks that a successor is inserted only if it names the newest
// intent of its identity.
func beginSucceeds(_ *session, j journal.Journal) error {
	if err := expectInsert(j, newRecord("k1", "order-1")); err != nil {
		return err
	}
	if err := expectAppend(j, newChange("k1", 1, journal.Settled, journal.Failed)); err != nil {
		return err
	}
	second := newRecord("k2", "order-1")
	second.Previous = "k1"
	if err := expectInsert(j, second); err != nil {
		return err
	}
	if got, err := expectRecord(j, "k2"); err != nil || got.Previous != "k1" {
		return fmt.Errorf("the successor k2 does not name k1 as Previous, error %v", err)
	}
	for _, previous := range []string{"", "k1", "k0"} { // none, an older one, an unknown one
		third := newRecord("k3", "order-1")
		third.Previous = previous
		if err := expectConflict(j, third, journal.Checks{}, journal.ConflictIdentity, "k2"); err != nil {
			return fmt.Errorf("with Previous %q: %w", previous, err)
		}
	}
	return nil
}

// beginKeyTwice checks that a key belongs to one intent.
func beginKeyTwice(_ *session, j journal.Journal) error {
	if err := expectInsert(j, newRecord("k1", "order-1")); err != nil {
		return err
	}
	conflict, _, err := j.Begin(context.Background(), newRecord("k1", "order-2"), journal.Checks{})
	if err == nil {
		return fmt.Errorf("a second intent with the key k1: conflict %d and no error; want an error", conflict)
	}
	got, err := expectRecord(j, "k1")
	if err == nil && got.Operation.ID != "order-1" {
		err = fmt.Errorf("the key k1 now belongs to %q", got.Operation.ID)
	}
	return err
}

// beginCanceled checks that Begin inserts nothing if its context had ended before.
func beginCanceled(_ *session, j journal.Journal) error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := j.Begin(ctx, newRecord("k1", "order-1"), journal.Checks{}); err == nil {
		return fmt.Errorf("Begin with a canceled context returns no error")
	}
	return expectInsert(j, newRecord("k1", "order-1"))
}

// beginConcurrently begins the same identities from many goroutines: one call inserts,
// and the others return its intent.
func beginConcurrently(_ *session, j journal.Journal) error {
	const callers, identities = 16, 8
	var mu sync.Mutex
	inserted, found, errs := map[string]string{}, map[string]map[string]bool{}, []error{}
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range identities {
				id, key := fmt.Sprint("order-", i), fmt.Sprint("k", i, "-", caller)
				conflict, current, err := j.Begin(context.Background(), newRecord(key, id), journal.Checks{})
				mu.Lock()
				switch {
				case err != nil:
					errs = append(errs, err)
				case conflict == journal.NoConflict && inserted[id] == "":
					inserted[id] = key
				case conflict == journal.NoConflict:
					errs = append(errs, fmt.Errorf("%s and %s were both inserted for %s", inserted[id], key, id))
				case conflict != journal.ConflictIdentity || current == nil:
					errs = append(errs, fmt.Errorf("conflict %d, a record %t; want ConflictIdentity with one", conflict, current != nil))
				default:
					if found[id] == nil {
						found[id] = map[string]bool{}
					}
					found[id][current.Key] = true
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(errs) > 0 {
		return errs[0]
	}
	for id, keys := range found {
		if len(keys) != 1 || !keys[inserted[id]] {
			return fmt.Errorf("%s was inserted for %s, and the other calls returned %v", inserted[id], id, keys)
		}
	}
	return nil
}
