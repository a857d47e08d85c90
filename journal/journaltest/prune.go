package journaltest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/idem-go/idem/journal"
)

// pruning checks that Prune shortens and drops what was settled before a time, and
// leaves open intents alone.
func pruning(_ *session, j journal.Journal) error {
	ctx := context.Background()
	for i, c := range []*journal.Change{ // at minute 1
		nil, newChange("k1", 1, journal.MarkedInDoubt, journal.InDoubt), newChange("k2", 1, journal.Settled, journal.Succeeded),
		newChange("k3", 1, journal.Settled, journal.Failed), newChange("k4", 1, journal.Settled, journal.Succeeded),
	} {
		if err := expectInsert(j, newRecord(fmt.Sprint("k", i), fmt.Sprint("order-", i))); err != nil {
			return err
		}
		if c == nil {
			continue
		}
		if i == 4 {
			c.At = minute(60) // after both times
		}
		if err := expectAppend(j, c); err != nil {
			return err
		}
	}
	for round, want := range []int{2, 0} {
		n, err := j.Prune(ctx, minute(30), minute(-1000))
		if err != nil || n != want {
			return fmt.Errorf("Prune number %d returns %d, error %v; want %d", round+1, n, err, want)
		}
	}
	for i := range 5 {
		got, err := expectRecord(j, fmt.Sprint("k", i))
		if err != nil {
			return err
		}
		pruned := i == 2 || i == 3
		if got.PrunedAt.IsZero() == pruned || (len(got.Payload) == 0) != pruned {
			return fmt.Errorf("k%d: PrunedAt %v, %d bytes of payload; want it pruned: %t", i, got.PrunedAt, len(got.Payload), pruned)
		}
		if now := got.Summary(); pruned && now.State != []journal.State{journal.Succeeded, journal.Failed}[i-2] {
			return fmt.Errorf("the state of k%d is %s after Prune", i, now.State)
		}
		if err := expectConflict(j, newRecord("x", fmt.Sprint("order-", i)), journal.Checks{}, journal.ConflictIdentity, got.Key); err != nil {
			return fmt.Errorf("without its outcome an intent keeps its identity: %w", err)
		}
	}
	if _, err := j.Prune(ctx, minute(30), minute(30)); err != nil {
		return err
	}
	left, err := allPages(j, journal.Filter{}, 10, 10)
	if err != nil || !slices.Equal(left, []string{"k0", "k1", "k4"}) {
		return fmt.Errorf("after the identities were pruned %v are left, error %v; want k0, k1 and k4", left, err)
	}
	stats, err := j.Stats(ctx)
	if err == nil && stats.Intents != 5 {
		err = fmt.Errorf("Stats counts %d intents after Prune, want all 5", stats.Intents)
	}
	return err
}

// pruningAliases checks that an alias goes with its intent: its ID is free again.
func pruningAliases(_ *session, j journal.Journal) error {
	alias := journal.Checks{DuplicatesSince: minute(-10), Alias: true}
	if err := expectConflict(j, duplicate("k1", "a"), alias, journal.NoConflict, ""); err != nil {
		return err
	}
	if err := expectConflict(j, duplicate("k2", "b"), alias, journal.ConflictDuplicate, "k1"); err != nil {
		return err
	}
	if err := expectInsert(j, newRecord("k3", "c")); err != nil { // a store may keep its newest intent
		return err
	}
	if err := expectAppend(j, newChange("k1", 1, journal.Settled, journal.Succeeded)); err != nil {
		return err
	}
	if n, err := j.Prune(context.Background(), minute(30), minute(30)); err != nil || n == 0 {
		return fmt.Errorf("Prune returns %d, error %v; want at least 1", n, err)
	}
	if r, err := j.Get(context.Background(), "k1"); r != nil || err != nil {
		return fmt.Errorf("Get of a dropped intent: a record %t, error %v; want neither", r != nil, err)
	}
	for _, id := range []string{"a", "b"} {
		if err := expectInsert(j, duplicate("again-"+id, id)); err != nil {
			return fmt.Errorf("after the intent was dropped: %w", err)
		}
	}
	return nil
}

// pruningSuccessor checks that an open intent keeps its identity when the intent that
// it succeeds is dropped.
func pruningSuccessor(_ *session, j journal.Journal) error {
	second := newRecord("k2", "order-1")
	second.Previous = "k1"
	err := errors.Join(
		expectInsert(j, newRecord("k1", "order-1")),
		expectAppend(j, newChange("k1", 1, journal.Settled, journal.Failed)),
		expectInsert(j, second),
		expectAppend(j, newChange("k2", 1, journal.MarkedInDoubt, journal.InDoubt)),
		expectInsert(j, newRecord("k3", "order-2")), // a store may keep its newest intent
	)
	if err != nil {
		return err
	}
	if n, err := j.Prune(context.Background(), minute(30), minute(30)); err != nil || n == 0 {
		return fmt.Errorf("Prune returns %d, error %v; want at least 1", n, err)
	}
	if r, err := j.Get(context.Background(), "k1"); r != nil || err != nil {
		return fmt.Errorf("Get of a dropped intent: a record %t, error %v; want neither", r != nil, err)
	}
	if err := expectConflict(j, newRecord("k4", "order-1"), journal.Checks{}, journal.ConflictIdentity, "k2"); err != nil {
		return fmt.Errorf("after the intent before it was dropped: %w", err)
	}
	return nil
}

// reopening checks that Close gives up what is owned and that nothing is lost.
func reopening(s *session, j journal.Journal) error {
	for _, key := range []string{"k1", "k2"} {
		if err := expectInsert(j, newRecord(key, key)); err != nil {
			return err
		}
	}
	if err := expectAppend(j, newChange("k2", 1, journal.Settled, journal.Succeeded)); err != nil {
		return err
	}
	closed := j
	j, err := s.reopen(j)
	if err != nil {
		return err
	}
	if err := closed.Close(); err != nil {
		return fmt.Errorf("a second Close: %w", err)
	}
	got, err := expectRecord(j, "k1")
	if err != nil {
		return err
	}
	if got.Owner == journal.OwnedBySelf || got.Owner == journal.OwnedByLive {
		return fmt.Errorf("after Close the owner of k1 is %d, want 0 or 3", got.Owner)
	}
	if err := sameCreation(got, newRecord("k1", "k1")); err != nil {
		return err
	}
	if err := expectAppend(j, newChange("k1", 1, journal.Claimed, journal.Pending)); err != nil {
		return err
	}
	if got, err = expectRecord(j, "k2"); err != nil {
		return err
	}
	return sameReply(got.Changes[0].Reply, newReply("k2"))
}
