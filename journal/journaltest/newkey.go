package journaltest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/idem-go/idem/journal"
)

const noKeyMaker = notApplicable("the Journal is no journal.KeyMaker")

// newKeys checks that NewKey makes a valid key each time, another one each time, also
// after reopening and through another opener, and that Begin and Get take it.
func newKeys(s *session, j journal.Journal) error {
	if _, ok := j.(journal.KeyMaker); !ok {
		return noKeyMaker
	}
	long := strings.Repeat("long", 128)
	operations := []journal.Operation{
		newRecord("", "order-1").Operation,
		{Name: "charge", ID: "order-1", Repeat: 1},
		{Name: long, Scope: long, ID: long},
		{Name: "charge"},
	}
	made := map[string]bool{}
	makeKeys := func(maker journal.KeyMaker) error {
		for range 50 {
			for _, op := range operations {
				key, err := newKey(maker, op)
				if err != nil {
					return err
				}
				if made[key] {
					return fmt.Errorf("NewKey returned the key %q before", key)
				}
				made[key] = true
			}
		}
		return nil
	}
	if err := makeKeys(j.(journal.KeyMaker)); err != nil {
		return err
	}
	for _, op := range operations {
		if err := beginNewKey(j, op); err != nil {
			return err
		}
	}
	other, _, err := s.openOther()
	if err != nil {
		return err
	}
	if maker, ok := other.(journal.KeyMaker); ok { // a Pipe is none
		if err := makeKeys(maker); err != nil {
			return fmt.Errorf("through another opener: %w", err)
		}
	}
	if j, err = s.reopen(j); err != nil {
		return err
	}
	if err := makeKeys(j.(journal.KeyMaker)); err != nil {
		return fmt.Errorf("after reopening: %w", err)
	}
	return beginNewKey(j, journal.Operation{Name: "charge", ID: "order-2"})
}

// newKey makes a key and returns an error if it is not valid.
func newKey(maker journal.KeyMaker, op journal.Operation) (string, error) {
	key, err := maker.NewKey(op)
	if err != nil {
		return "", fmt.Errorf("NewKey: %w", err)
	}
	if len(key) == 0 || len(key) > 255 {
		return "", fmt.Errorf("NewKey returned a key of %d bytes, want 1 to 255", len(key))
	}
	for i := range len(key) {
		if b := key[i]; b <= ' ' || b > '~' || b == '"' || b == '\\' {
			return "", fmt.Errorf("NewKey returned %q, whose byte %d is not visible ASCII, or is a double quote or backslash", key, i)
		}
	}
	return key, nil
}

// beginNewKey begins an intent with a key of NewKey, finds it, and checks that the key
// belongs to that intent from then on.
func beginNewKey(j journal.Journal, op journal.Operation) error {
	key, err := newKey(j.(journal.KeyMaker), op)
	if err != nil {
		return err
	}
	r := newRecord(key, "")
	r.Operation = op
	if err := expectInsert(j, r); err != nil {
		return err
	}
	got, err := expectRecord(j, key)
	if err != nil {
		return err
	}
	if err := sameCreation(got, r); err != nil {
		return err
	}
	again := newRecord(key, "another")
	if conflict, _, err := j.Begin(context.Background(), again, journal.Checks{}); err == nil {
		return fmt.Errorf("a second intent with the key %s: conflict %d and no error; want an error", key, conflict)
	}
	return nil
}

// newKeysConcurrently makes keys from many goroutines at once, for one operation and
// for different ones.
func newKeysConcurrently(_ *session, j journal.Journal) error {
	maker, ok := j.(journal.KeyMaker)
	if !ok {
		return noKeyMaker
	}
	const callers, rounds = 16, 20
	shared := newRecord("", "shared").Operation
	var mu sync.Mutex
	made := map[string]int{}
	errs := make([]error, callers)
	do := func(op journal.Operation, begin bool) error {
		key, err := newKey(maker, op)
		if err != nil {
			return err
		}
		mu.Lock()
		made[key]++
		mu.Unlock()
		if !begin {
			return nil
		}
		r := newRecord(key, "")
		r.Operation = op
		if err := expectInsert(j, r); err != nil {
			return err
		}
		_, err = expectRecord(j, key)
		return err
	}
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range rounds {
				own := newRecord("", fmt.Sprint("order-", caller, "-", i)).Operation
				if err := errors.Join(do(shared, false), do(own, true)); err != nil {
					errs[caller] = err
					return
				}
			}
		})
	}
	wg.Wait()
	// A key that was made twice comes first: the errors of Begin, which refuses the
	// second intent with it, only follow from that.
	for key, n := range made {
		if n != 1 {
			return fmt.Errorf("NewKey returned %q %d times", key, n)
		}
	}
	return errors.Join(errs...)
}
