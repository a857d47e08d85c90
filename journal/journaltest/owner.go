package journaltest

import (
	"context"
	"fmt"
	"sync"

	"github.com/idem-go/idem/journal"
)

// ownership checks that an intent of a live opener can be changed by that opener only.
func ownership(s *session, here journal.Journal) error {
	there, _, err := s.openOther()
	if err != nil {
		return err
	}
	if err := expectInsert(there, newRecord("k1", "order-1")); err != nil {
		return err
	}
	if err := expectOwner(there, "k1", journal.OwnedBySelf); err != nil {
		return err
	}
	if err := expectOwner(here, "k1", journal.OwnedByLive); err != nil {
		return err
	}
	if err := expectConflict(here, newRecord("k2", "order-1"), journal.Checks{}, journal.ConflictIdentity, "k1"); err != nil {
		return err
	}
	for _, c := range []*journal.Change{
		newChange("k1", 1, journal.Claimed, journal.Pending), newChange("k1", 1, journal.MarkedInDoubt, journal.InDoubt),
		newChange("k1", 1, journal.Settled, journal.Failed), newChange("k1", 1, journal.Resolved, journal.Succeeded),
		newChange("k1", 1, journal.Released, journal.Pending),
	} {
		if err := expectReject(here, c, 0); err != nil {
			return fmt.Errorf("a live opener owns it: %w", err)
		}
	}
	if err := expectAppend(there, newChange("k1", 1, journal.Released, journal.Pending)); err != nil {
		return err
	}
	if err := expectOwner(here, "k1", journal.Unowned); err != nil {
		return err
	}
	if err := expectAppend(here, newChange("k1", 2, journal.Claimed, journal.Pending)); err != nil {
		return err
	}
	if err := expectOwner(there, "k1", journal.OwnedByLive); err != nil {
		return err
	}
	if err := expectReject(there, newChange("k1", 3, journal.AttemptStarted, journal.Pending), 2); err != nil {
		return fmt.Errorf("after a claim by another opener: %w", err)
	}
	if err := expectAppend(here, newChange("k1", 3, journal.Settled, journal.Succeeded)); err != nil {
		return err
	}
	got, err := expectRecord(there, "k1")
	if err != nil {
		return err
	}
	return sameReply(got.Changes[2].Reply, newReply("k1"))
}

// deadOwner checks that the intents of an opener that was killed can be claimed.
func deadOwner(s *session, here journal.Journal) error {
	there, kill, err := s.openOther()
	if err != nil {
		return err
	}
	for _, key := range []string{"k1", "k2", "k3"} {
		if err := expectInsert(there, newRecord(key, key)); err != nil {
			return err
		}
	}
	if err := expectAppend(there, newChange("k2", 1, journal.Claimed, journal.Pending)); err != nil {
		return err
	}
	if err := expectAppend(there, newChange("k3", 1, journal.Settled, journal.Succeeded)); err != nil {
		return err
	}
	if err := expectOwner(here, "k2", journal.OwnedByLive); err != nil {
		return err
	}
	if err := kill(); err != nil {
		return fmt.Errorf("killing the other opener: %w", err)
	}
	for version, key := range []string{"k1", "k2"} {
		if err := expectOwner(here, key, journal.OwnedByDead); err != nil {
			return err
		}
		if err := expectAppend(here, newChange(key, version+1, journal.Claimed, journal.Pending)); err != nil {
			return err
		}
		if err := expectOwner(here, key, journal.OwnedBySelf); err != nil {
			return err
		}
	}
	if err := expectOwner(here, "k3", journal.Unowned); err != nil {
		return fmt.Errorf("an intent that it had settled: %w", err)
	}
	third, _, err := s.openOther()
	if err != nil {
		return err
	}
	if err := expectInsert(third, newRecord("k4", "k4")); err != nil {
		return err
	}
	if err := expectOwner(here, "k4", journal.OwnedByLive); err != nil {
		return fmt.Errorf("a new opener is not the dead one: %w", err)
	}
	return nil
}

// formerOwner checks an opener whose intent was claimed by another one: its failure is
// rejected, its success is appended.
func formerOwner(s *session, here journal.Journal) error {
	there, _, err := s.openOther()
	if err != nil {
		return err
	}
	for i, late := range []*journal.Change{
		newChange("k0", 1, journal.Settled, journal.Failed),
		newChange("k1", 1, journal.Settled, journal.Succeeded),
	} {
		key := late.Key
		if err := expectInsert(there, newRecord(key, key)); err != nil {
			return err
		}
		if err := expectAppend(there, newChange(key, 1, journal.Released, journal.Pending)); err != nil {
			return err
		}
		if err := expectAppend(here, newChange(key, 2, journal.Claimed, journal.Pending)); err != nil {
			return err
		}
		if i == 0 {
			if err := expectReject(there, late, 2); err != nil {
				return fmt.Errorf("a failure that the former owner reports: %w", err)
			}
			continue
		}
		if err := expectAppend(there, late); err != nil {
			return fmt.Errorf("a success that the former owner reports: %w", err)
		}
		if err := expectReject(here, newChange(key, 3, journal.Settled, journal.Failed), 3); err != nil {
			return fmt.Errorf("a failure after that success: %w", err)
		}
	}
	return nil
}

// concurrentOpeners claims the same intents and begins the same identities through two
// openers at once: for each, one of them succeeds.
func concurrentOpeners(s *session, here journal.Journal) error {
	there, _, err := s.openOther()
	if err != nil {
		return err
	}
	const intents = 40
	for i := range intents {
		key := fmt.Sprint("k", i)
		if err := expectInsert(here, newRecord(key, key)); err != nil {
			return err
		}
		if err := expectAppend(here, newChange(key, 1, journal.Released, journal.Pending)); err != nil {
			return err
		}
	}
	var claimed, inserted [2][intents]bool
	var errs [2]error
	var wg sync.WaitGroup
	for who, j := range []journal.Journal{here, there} {
		wg.Go(func() {
			for i := range intents {
				conflict, _, err := j.Change(context.Background(), newChange(fmt.Sprint("k", i), 2, journal.Claimed, journal.Pending))
				if err != nil {
					errs[who] = err
					return
				}
				claimed[who][i] = conflict == journal.NoConflict
				conflict, _, err = j.Begin(context.Background(), newRecord(fmt.Sprint("n", i, "-", who), fmt.Sprint("new-", i)), journal.Checks{})
				if err != nil {
					errs[who] = err
					return
				}
				inserted[who][i] = conflict == journal.NoConflict
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	for i := range intents {
		if claimed[0][i] == claimed[1][i] || inserted[0][i] == inserted[1][i] {
			return fmt.Errorf("intent %d: claimed by the first opener %t, by the second %t; inserted %t and %t; want one of each",
				i, claimed[0][i], claimed[1][i], inserted[0][i], inserted[1][i])
		}
	}
	return nil
}
