package journaltest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/idem-go/idem/journal"
)

// changeVersions checks that only the next version is appended, that each change sets
// the owner, and that a final outcome stays.
func changeVersions(_ *session, j journal.Journal) error {
	conflict, current, err := j.Change(context.Background(), newChange("unknown", 1, journal.Released, journal.Pending))
	if current != nil || conflict != journal.ConflictVersion || err != nil {
		return fmt.Errorf("Change of an unknown key: a record %t, conflict %d, error %v; want none, conflict %d, nil",
			current != nil, conflict, err, journal.ConflictVersion)
	}
	if err := expectInsert(j, newRecord("k1", "order-1")); err != nil {
		return err
	}
	for _, version := range []int{0, 2, 3} { // 1 is the next
		if err := expectReject(j, newChange("k1", version, journal.MarkedInDoubt, journal.InDoubt), 0); err != nil {
			return err
		}
	}
	steps := []struct {
		kind  journal.ChangeKind
		state journal.State
		owner journal.Ownership
	}{
		{journal.Claimed, journal.Pending, journal.OwnedBySelf}, {journal.AttemptStarted, journal.Pending, journal.OwnedBySelf},
		{journal.Released, journal.Pending, journal.Unowned}, {journal.Claimed, journal.Pending, journal.OwnedBySelf},
		{journal.MarkedInDoubt, journal.InDoubt, journal.Unowned}, {journal.Resolved, journal.InDoubt, journal.Unowned},
		{journal.Claimed, journal.Pending, journal.OwnedBySelf}, {journal.Settled, journal.Succeeded, journal.Unowned},
	}
	for i, step := range steps {
		c := newChange("k1", i+1, step.kind, step.state)
		if err := expectAppend(j, c); err != nil {
			return err
		}
		if err := expectOwner(j, "k1", step.owner); err != nil {
			return fmt.Errorf("after a change of kind %d: %w", step.kind, err)
		}
		if err := expectReject(j, newChange("k1", i+1, journal.MarkedInDoubt, journal.InDoubt), i+1); err != nil {
			return fmt.Errorf("with a version that exists: %w", err)
		}
	}
	got, err := expectRecord(j, "k1")
	if err != nil {
		return err
	}
	if len(got.Changes) != len(steps) {
		return fmt.Errorf("Get returns %d changes, want %d", len(got.Changes), len(steps))
	}
	for i, step := range steps {
		if err := sameChange(&got.Changes[i], newChange("k1", i+1, step.kind, step.state)); err != nil {
			return fmt.Errorf("change %d: %w", i+1, err)
		}
	}
	for _, c := range []*journal.Change{
		newChange("k1", 9, journal.Settled, journal.Succeeded), newChange("k1", 9, journal.Settled, journal.Failed),
		newChange("k1", 9, journal.Resolved, journal.Failed), newChange("k1", 9, journal.MarkedInDoubt, journal.InDoubt),
		newChange("k1", 9, journal.Released, journal.Pending), newChange("k1", 5, journal.Settled, journal.Succeeded),
	} {
		if err := expectReject(j, c, 8); err != nil {
			return fmt.Errorf("after the outcome: %w", err)
		}
	}
	return nil
}

// changeConcurrently appends each version from many goroutines: one call succeeds.
func changeConcurrently(_ *session, j journal.Journal) error {
	const callers, rounds = 12, 12
	if err := expectInsert(j, newRecord("k1", "order-1")); err != nil {
		return err
	}
	for version := 1; version <= rounds; version++ {
		var appended atomic.Int32
		errs := make([]error, callers)
		var wg sync.WaitGroup
		for caller := range callers {
			wg.Go(func() {
				c := newChange("k1", version, journal.Claimed, journal.Pending)
				c.Note = fmt.Sprint("caller ", caller)
				conflict, _, err := j.Change(context.Background(), c)
				ok := conflict == journal.NoConflict
				errs[caller] = err
				if ok {
					appended.Add(1)
				}
			})
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		if appended.Load() != 1 {
			return fmt.Errorf("%d of %d callers appended version %d; want one", appended.Load(), callers, version)
		}
	}
	return nil
}

// lateSuccess checks that a success is appended even if the intent has changed since,
// unless it is settled.
func lateSuccess(_ *session, j journal.Journal) error {
	for i, before := range [][]*journal.Change{
		{newChange("", 1, journal.Claimed, journal.Pending)},
		{newChange("", 1, journal.MarkedInDoubt, journal.InDoubt)},
		{newChange("", 1, journal.Claimed, journal.Pending), newChange("", 2, journal.Released, journal.Pending)},
	} {
		key := fmt.Sprint("k", i)
		if err := expectInsert(j, newRecord(key, key)); err != nil {
			return err
		}
		for _, c := range before {
			c.Key = key
			if err := expectAppend(j, c); err != nil {
				return err
			}
		}
		for _, c := range []*journal.Change{
			newChange(key, 1, journal.Settled, journal.Failed), newChange(key, 1, journal.MarkedInDoubt, journal.InDoubt),
			newChange(key, 1, journal.Claimed, journal.Pending), newChange(key, len(before)+2, journal.Settled, journal.Succeeded),
		} {
			if err := expectReject(j, c, len(before)); err != nil {
				return fmt.Errorf("only a success may be late, and not early: %w", err)
			}
		}
		if err := expectAppend(j, newChange(key, 1, journal.Settled, journal.Succeeded)); err != nil {
			return fmt.Errorf("a late success: %w", err)
		}
		got, err := expectRecord(j, key)
		if err != nil {
			return err
		}
		if now := got.Summary(); now.State != journal.Succeeded || now.Version != len(before)+1 || got.Owner != journal.Unowned {
			return fmt.Errorf("after a late success %s has version %d, state %s, owner %d; want %d, succeeded, 0",
				key, now.Version, now.State, got.Owner, len(before)+1)
		}
		if err := expectReject(j, newChange(key, 1, journal.Settled, journal.Succeeded), len(before)+1); err != nil {
			return fmt.Errorf("a second outcome: %w", err)
		}
	}
	return nil
}

// triedAgain checks an intent that fails and is claimed again several times, and then
// succeeds.
func triedAgain(_ *session, j journal.Journal) error {
	if err := expectInsert(j, newRecord("k1", "order-1")); err != nil {
		return err
	}
	version := 0
	for range 3 {
		failed := newChange("k1", version+1, journal.Settled, journal.Failed)
		failed.Reply = newReply(fmt.Sprint("refusal ", version))
		for _, c := range []*journal.Change{failed, newChange("k1", version+2, journal.Claimed, journal.Pending)} {
			if err := expectAppend(j, c); err != nil {
				return err
			}
		}
		if err := expectOwner(j, "k1", journal.OwnedBySelf); err != nil {
			return fmt.Errorf("claimed again: %w", err)
		}
		version += 2
		open, _, err := j.Page(context.Background(), journal.Filter{States: []journal.State{journal.Pending}}, "", 10)
		if err != nil || len(open) != 1 {
			return fmt.Errorf("claimed again: Page returns %d pending intents, error %v; want 1", len(open), err)
		}
	}
	if err := expectAppend(j, newChange("k1", version+1, journal.Settled, journal.Succeeded)); err != nil {
		return err
	}
	got, err := expectRecord(j, "k1")
	if err != nil {
		return err
	}
	if len(got.Changes) != version+1 || got.Summary().State != journal.Succeeded {
		return fmt.Errorf("after three failures and a success: %d changes, state %s", len(got.Changes), got.Summary().State)
	}
	for i, c := range got.Changes {
		if c.Version != i+1 {
			return fmt.Errorf("change %d has version %d", i+1, c.Version)
		}
		switch {
		case i == version:
			err = sameReply(c.Reply, newReply("k1"))
		case i%2 == 0:
			err = sameReply(c.Reply, newReply(fmt.Sprint("refusal ", i)))
		case c.Reply != nil:
			err = fmt.Errorf("a claim has an outcome")
		}
		if err != nil {
			return fmt.Errorf("change %d: %w", i+1, err)
		}
	}
	return nil
}

// outcomesKept checks that outcomes are kept byte for byte, also after reopening.
func outcomesKept(s *session, j journal.Journal) error {
	replies := []*journal.Reply{
		newReply("k0"),
		{Status: 204, Proto: "HTTP/2.0", Header: http.Header{"Date": {"Sun, 01 Mar 2026 12:00:00 GMT"}}},
		{Body: []byte("null"), Size: 4},                                // of a tool
		{Status: 200, Size: 5 << 30, Hash: sha256.Sum256([]byte("a"))}, // over the limit
		{Status: 200, Proto: "HTTP/1.1", Body: make([]byte, 1<<20), Size: 1 << 20},
	}
	for i := range replies[4].Body {
		replies[4].Body[i] = byte(i * i >> 3)
	}
	for i, reply := range replies {
		key := fmt.Sprint("k", i)
		if err := expectInsert(j, newRecord(key, key)); err != nil {
			return err
		}
		c := newChange(key, 1, journal.Settled, journal.Succeeded)
		c.Reply = reply
		if err := expectAppend(j, c); err != nil {
			return err
		}
	}
	j, err := s.reopen(j)
	if err != nil {
		return err
	}
	for i, want := range replies {
		got, err := expectRecord(j, fmt.Sprint("k", i))
		if err != nil {
			return err
		}
		if err := sameReply(got.Changes[0].Reply, want); err != nil {
			return fmt.Errorf("outcome %d: %w", i, err)
		}
		_, current, err := j.Begin(context.Background(), newRecord("x", fmt.Sprint("k", i)), journal.Checks{})
		if err != nil || current == nil || !reflect.DeepEqual(current.Summary(), got.Summary()) {
			return fmt.Errorf("Begin returns another summary than Get, error %v", err)
		}
	}
	return nil
}
