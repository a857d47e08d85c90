package journaltest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/idem-go/idem/journal"
)

// newClaim returns a claim that checks what its policy asks for.
func newClaim(key string, version int, checks journal.Checks) *journal.Change {
	c := newChange(key, version, journal.Claimed, journal.Pending)
	c.Checks = checks
	return c
}

// newFailure returns the change that settles a new intent as never sent.
func newFailure(key string) *journal.Change {
	c := newChange(key, 1, journal.Settled, journal.Failed)
	c.Failure, c.FirstSent = journal.FailedNotSent, time.Time{}
	return c
}

// claimNewest checks that only the newest intent of an identity can be claimed: an
// older one has failed, and its successor was begun in its place.
func claimNewest(_ *session, j journal.Journal) error {
	if err := expectInsert(j, newRecord("k1", "order-1")); err != nil {
		return err
	}
	if err := expectAppend(j, newFailure("k1")); err != nil {
		return err
	}
	successor := newRecord("k2", "order-1")
	successor.Previous, successor.Fingerprint = "k1", [32]byte{2}
	if err := expectInsert(j, successor); err != nil {
		return err
	}
	if err := expectClaimConflict(j, newClaim("k1", 2, journal.Checks{}), journal.ConflictIdentity, "k2"); err != nil {
		return err
	}
	if err := expectAppend(j, newFailure("k2")); err != nil {
		return err
	}
	if err := expectClaimConflict(j, newClaim("k1", 2, journal.Checks{}), journal.ConflictIdentity, "k2"); err != nil {
		return fmt.Errorf("the successor has failed too: %w", err)
	}
	if err := expectAppend(j, newClaim("k2", 2, journal.Checks{})); err != nil {
		return err
	}
	late := newRecord("k3", "order-1")
	late.Previous = "k2"
	if err := expectConflict(j, late, journal.Checks{}, journal.ConflictIdentity, "k2"); err != nil {
		return fmt.Errorf("what it would succeed was claimed meanwhile: %w", err)
	}
	done := newChange("k2", 3, journal.Settled, journal.Succeeded)
	if err := expectAppend(j, done); err != nil {
		return err
	}
	for _, version := range []int{0, 2} {
		if err := expectConflict(j, late, journal.Checks{PreviousVersion: version}, journal.ConflictIdentity, "k2"); err != nil {
			return fmt.Errorf("PreviousVersion %d of an intent that has succeeded: %w", version, err)
		}
	}
	return expectConflict(j, late, journal.Checks{PreviousVersion: 3}, journal.NoConflict, "")
}

// claimSettled checks that an intent which has succeeded cannot be claimed, and that
// one which has failed can be resolved as Failed once more, and not otherwise.
func claimSettled(_ *session, j journal.Journal) error {
	for _, key := range []string{"done", "failed"} {
		if err := expectInsert(j, newRecord(key, key)); err != nil {
			return err
		}
	}
	if err := expectAppend(j, newChange("done", 1, journal.Settled, journal.Succeeded)); err != nil {
		return err
	}
	if err := expectAppend(j, newFailure("failed")); err != nil {
		return err
	}
	if err := expectReject(j, newClaim("done", 2, journal.Checks{}), 1); err != nil {
		return err
	}
	if err := expectReject(j, newChange("failed", 2, journal.Resolved, journal.Succeeded), 1); err != nil {
		return err
	}
	return expectAppend(j, newChange("failed", 2, journal.Resolved, journal.Failed))
}

// claimLimit checks that a claim which makes an intent count again needs a budget, and
// that the intent counts from the claim on.
func claimLimit(_ *session, j journal.Journal) error {
	one := journal.Checks{Limit: journal.Limit{Intents: 1, Per: time.Hour}, LimitSince: minute(-60)}
	for _, key := range []string{"k1", "k2"} {
		if err := expectConflict(j, newRecord(key, key), one, journal.NoConflict, ""); err != nil {
			return err
		}
		if err := expectAppend(j, newFailure(key)); err != nil {
			return err
		}
	}
	first := newClaim("k1", 2, one)
	first.At = minute(30)
	if err := expectAppend(j, first); err != nil {
		return fmt.Errorf("an intent does not count against itself: %w", err)
	}
	if err := expectClaimConflict(j, newClaim("k2", 2, one), journal.ConflictLimit, ""); err != nil {
		return err
	}
	late := one
	late.LimitSince = minute(20)
	if err := expectConflict(j, newRecord("k3", "k3"), late, journal.ConflictLimit, ""); err != nil {
		return fmt.Errorf("it counts from the claim at minute 30: %w", err)
	}
	if err := expectAppend(j, newChange("k1", 3, journal.MarkedInDoubt, journal.InDoubt)); err != nil {
		return err
	}
	none := one
	none.Limit = journal.Limit{Cost: 1, Per: time.Hour}
	if err := expectAppend(j, newClaim("k1", 4, none)); err != nil {
		return fmt.Errorf("an intent in doubt has its place in the budget: %w", err)
	}
	return nil
}

// claimCost checks that sums of costs do not overflow.
func claimCost(_ *session, j journal.Journal) error {
	cost := journal.Checks{Limit: journal.Limit{Cost: math.MaxInt64 - 1, Per: time.Hour}, LimitSince: minute(-60)}
	for i, want := range []journal.Conflict{journal.NoConflict, journal.NoConflict, journal.NoConflict} {
		r := newRecord(fmt.Sprint("k", i), fmt.Sprint("k", i))
		r.Operation.Cost = math.MaxInt64 / 3
		if err := expectConflict(j, r, cost, want, ""); err != nil {
			return err
		}
	}
	r := newRecord("k3", "k3")
	r.Operation.Cost = math.MaxInt64
	return expectConflict(j, r, cost, journal.ConflictLimit, "")
}

// claimDuplicate checks that a claim finds a duplicate that was begun since, and that
// the ID is an alias from then on, although it has an intent of its own.
func claimDuplicate(s *session, j journal.Journal) error {
	window := journal.Checks{DuplicatesSince: minute(-10)}
	alias := window
	alias.Alias = true
	if err := expectConflict(j, duplicate("k1", "a"), window, journal.NoConflict, ""); err != nil {
		return err
	}
	if err := expectAppend(j, newFailure("k1")); err != nil {
		return err
	}
	if err := expectConflict(j, duplicate("k2", "b"), window, journal.NoConflict, ""); err != nil {
		return err
	}
	if err := expectClaimConflict(j, newClaim("k1", 2, window), journal.ConflictDuplicate, "k2"); err != nil {
		return err
	}
	if err := expectConflict(j, duplicate("k3", "a"), journal.Checks{}, journal.ConflictIdentity, "k1"); err != nil {
		return fmt.Errorf("without Checks.Alias: %w", err)
	}
	if err := expectClaimConflict(j, newClaim("k1", 2, alias), journal.ConflictDuplicate, "k2"); err != nil {
		return err
	}
	j, err := s.reopen(j)
	if err != nil {
		return err
	}
	if err := expectConflict(j, duplicate("k3", "a"), journal.Checks{}, journal.ConflictDuplicate, "k2"); err != nil {
		return fmt.Errorf("the alias is durable, and newer than the ID's own intent: %w", err)
	}
	successor := duplicate("k4", "a")
	successor.Previous = "k1"
	if err := expectConflict(j, successor, journal.Checks{}, journal.NoConflict, ""); err != nil {
		return err
	}
	if err := expectConflict(j, duplicate("k5", "a"), journal.Checks{}, journal.ConflictIdentity, "k4"); err != nil {
		return fmt.Errorf("the successor is newer than the alias: %w", err)
	}
	return nil
}

// claimReleased checks that an intent which was released before anything was sent is
// dated by its claim.
func claimReleased(_ *session, j journal.Journal) error {
	window := journal.Checks{DuplicatesSince: minute(-10)}
	if err := expectConflict(j, duplicate("k1", "a"), window, journal.NoConflict, ""); err != nil {
		return err
	}
	released := newChange("k1", 1, journal.Released, journal.Pending)
	released.FirstSent = time.Time{}
	if err := expectAppend(j, released); err != nil {
		return err
	}
	later := journal.Checks{DuplicatesSince: minute(20)}
	if err := expectConflict(j, duplicate("k2", "b"), later, journal.NoConflict, ""); err != nil {
		return fmt.Errorf("the first was created before the window: %w", err)
	}
	claim := newClaim("k1", 2, journal.Checks{DuplicatesSince: minute(-10)})
	claim.At = minute(30)
	return expectClaimConflict(j, claim, journal.ConflictDuplicate, "k2")
}

// manyClaim checks that of many claims at once only as many succeed as the budget has
// room for.
func manyClaim(_ *session, j journal.Journal) error {
	const intents, room = 24, 5
	for i := range intents {
		key := fmt.Sprint("k", i)
		if err := expectInsert(j, newRecord(key, key)); err != nil {
			return err
		}
		if err := expectAppend(j, newFailure(key)); err != nil {
			return err
		}
	}
	checks := journal.Checks{Limit: journal.Limit{Intents: room, Per: time.Hour}, LimitSince: minute(-60)}
	var wg sync.WaitGroup
	conflicts, errs := make([]journal.Conflict, intents), make([]error, intents)
	for i := range intents {
		wg.Go(func() {
			conflicts[i], _, errs[i] = j.Change(context.Background(), newClaim(fmt.Sprint("k", i), 2, checks))
		})
	}
	wg.Wait()
	claimed := 0
	for i, conflict := range conflicts {
		switch conflict {
		case journal.NoConflict:
			claimed++
		case journal.ConflictLimit:
		default:
			errs[i] = errors.Join(errs[i], fmt.Errorf("claim of k%d: conflict %d", i, conflict))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if claimed != room {
		return fmt.Errorf("%d claims at once: %d were appended; want %d, as the budget has room for", intents, claimed, room)
	}
	return nil
}
