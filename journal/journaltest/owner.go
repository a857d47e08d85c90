package journaltest

import (
	"context"
	"fmt"
	"sync"

	"github.com/idem-go/idem/journal"
)

// What a journal must do among several openers of one store.

// pair is a store that is open twice.
func (s *suite) pair() (here, there journal.Journal, kill func() error, err error) {
	if here, err = s.journal(); err != nil {
		return nil, nil, nil, err
	}
	if there, kill, err = s.second(); err != nil {
		return nil, nil, nil, fmt.Errorf("opening the store once more: %w", err)
	}
	return here, there, kill, nil
}

func ownership(s *suite) error {
	here, there, _, err := s.pair()
	if err != nil {
		return err
	}
	if err := begin(there, suiteRecord("k1", "order-1")); err != nil {
		return err
	}
	if err := owned(there, "k1", journal.OwnedBySelf); err != nil {
		return err
	}
	if err := owned(here, "k1", journal.OwnedByLive); err != nil {
		return err
	}
	if err := meets(here, suiteRecord("k2", "order-1"), journal.Checks{}, journal.ConflictIdentity, "k1"); err != nil {
		return err
	}
	for _, c := range []*journal.Change{
		suiteChange("k1", 1, journal.Claimed, journal.Pending), suiteChange("k1", 1, journal.MarkedInDoubt, journal.InDoubt),
		suiteChange("k1", 1, journal.Settled, journal.Failed), suiteChange("k1", 1, journal.Resolved, journal.Succeeded),
		suiteChange("k1", 1, journal.Released, journal.Pending),
	} {
		if err := loses(here, c, 0); err != nil {
			return fmt.Errorf("a living opener owns it: %w", err)
		}
	}
	if err := changes(there, suiteChange("k1", 1, journal.Released, journal.Pending)); err != nil {
		return err
	}
	if err := owned(here, "k1", journal.Unowned); err != nil {
		return err
	}
	if err := changes(here, suiteChange("k1", 2, journal.Claimed, journal.Pending)); err != nil {
		return err
	}
	if err := owned(there, "k1", journal.OwnedByLive); err != nil {
		return err
	}
	if err := loses(there, suiteChange("k1", 3, journal.AttemptStarted, journal.Pending), 2); err != nil {
		return fmt.Errorf("whoever lost its claim: %w", err)
	}
	if err := changes(here, suiteChange("k1", 3, journal.Settled, journal.Succeeded)); err != nil {
		return err
	}
	got, err := get(there, "k1")
	if err != nil {
		return err
	}
	return sameReply(got.Changes[2].Reply, suiteReply("k1"))
}

func deadOwner(s *suite) error {
	here, there, kill, err := s.pair()
	if err != nil {
		return err
	}
	for _, key := range []string{"k1", "k2", "k3"} {
		if err := begin(there, suiteRecord(key, key)); err != nil {
			return err
		}
	}
	if err := changes(there, suiteChange("k2", 1, journal.Claimed, journal.Pending)); err != nil {
		return err
	}
	if err := changes(there, suiteChange("k3", 1, journal.Settled, journal.Succeeded)); err != nil {
		return err
	}
	if err := owned(here, "k2", journal.OwnedByLive); err != nil {
		return err
	}
	if err := kill(); err != nil {
		return fmt.Errorf("killing the other opener: %w", err)
	}
	for version, key := range []string{"k1", "k2"} {
		if err := owned(here, key, journal.OwnedByDead); err != nil {
			return err
		}
		if err := changes(here, suiteChange(key, version+1, journal.Claimed, journal.Pending)); err != nil {
			return err
		}
		if err := owned(here, key, journal.OwnedBySelf); err != nil {
			return err
		}
	}
	if err := owned(here, "k3", journal.Unowned); err != nil {
		return fmt.Errorf("what it had settled: %w", err)
	}
	// A newcomer is another opener than the dead one.
	third, _, err := s.second()
	if err != nil {
		return err
	}
	if err := begin(third, suiteRecord("k4", "k4")); err != nil {
		return err
	}
	return owned(here, "k4", journal.OwnedByLive)
}

// robbedOwner lost its intent to another opener, and learns of a success.
func robbedOwner(s *suite) error {
	here, there, _, err := s.pair()
	if err != nil {
		return err
	}
	for i, late := range []*journal.Change{
		suiteChange("k0", 1, journal.Settled, journal.Failed),
		suiteChange("k1", 1, journal.Settled, journal.Succeeded),
	} {
		key := late.Key
		if err := begin(there, suiteRecord(key, key)); err != nil {
			return err
		}
		if err := changes(there, suiteChange(key, 1, journal.Released, journal.Pending)); err != nil {
			return err
		}
		if err := changes(here, suiteChange(key, 2, journal.Claimed, journal.Pending)); err != nil {
			return err
		}
		if i == 0 {
			if err := loses(there, late, 2); err != nil {
				return fmt.Errorf("a stale owner's refusal: %w", err)
			}
			continue
		}
		if err := changes(there, late); err != nil {
			return fmt.Errorf("a stale owner's proven success: %w", err)
		}
		if err := loses(here, suiteChange(key, 3, journal.Settled, journal.Failed), 3); err != nil {
			return fmt.Errorf("after another's success: %w", err)
		}
	}
	return nil
}

// racingOpeners claim the same intents and begin the same identities at once.
func racingOpeners(s *suite) error {
	here, there, _, err := s.pair()
	if err != nil {
		return err
	}
	const intents = 40
	for i := range intents {
		key := fmt.Sprint("k", i)
		if err := begin(here, suiteRecord(key, key)); err != nil {
			return err
		}
		if err := changes(here, suiteChange(key, 1, journal.Released, journal.Pending)); err != nil {
			return err
		}
	}
	var claimed, begun [2][intents]bool
	var errs [2]error
	var wg sync.WaitGroup
	for who, j := range []journal.Journal{here, there} {
		wg.Go(func() {
			for i := range intents {
				_, ok, err := j.Change(context.Background(), suiteChange(fmt.Sprint("k", i), 2, journal.Claimed, journal.Pending))
				if err != nil {
					errs[who] = err
					return
				}
				claimed[who][i] = ok
				obstacle, _, err := j.Begin(context.Background(), suiteRecord(fmt.Sprint("n", i, "-", who), fmt.Sprint("new-", i)), journal.Checks{})
				if err != nil {
					errs[who] = err
					return
				}
				begun[who][i] = obstacle == journal.NoConflict
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
		if claimed[0][i] == claimed[1][i] || begun[0][i] == begun[1][i] {
			return failing("intent %d: claimed by the one %t and by the other %t, begun by %t and %t; one of the two must",
				i, claimed[0][i], claimed[1][i], begun[0][i], begun[1][i])
		}
	}
	return nil
}
