package journaltest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/idem-go/idem/journal"
)

const (
	noCacher     = notApplicable("the Journal is no journal.Cacher")
	nothingFound = notApplicable("Cached returned no record, although the intents were begun again several times: there is nothing to compare")
)

// cachedUnsettled checks that Cached returns nil for an identity whose newest intent
// has not succeeded, and for an operation without an ID.
func cachedUnsettled(_ *session, j journal.Journal) error {
	cacher, ok := j.(journal.Cacher)
	if !ok {
		return noCacher
	}
	op := newRecord("", "order-1").Operation
	expectNil := func(op journal.Operation, what string) error {
		if r := cacher.Cached(op); r != nil {
			return fmt.Errorf("a cached intent %s, state %s, for %s; want nil", r.Key, r.Summary().State, what)
		}
		return nil
	}
	if err := expectNil(op, "an unknown identity"); err != nil {
		return err
	}
	if err := expectInsert(j, newRecord("k1", "order-1")); err != nil {
		return err
	}
	for version, step := range []struct {
		what  string
		kind  journal.ChangeKind
		state journal.State
	}{
		{"a new intent", 0, 0},
		{"a released intent", journal.Released, journal.Pending},
		{"an intent in doubt", journal.MarkedInDoubt, journal.InDoubt},
		{"a failed intent", journal.Settled, journal.Failed},
		{"an intent that is claimed again", journal.Claimed, journal.Pending},
	} {
		if version > 0 {
			if err := expectAppend(j, newChange("k1", version, step.kind, step.state)); err != nil {
				return err
			}
		}
		if err := beginAgain(j, op, "k1"); err != nil {
			return err
		}
		if err := expectNil(op, step.what); err != nil {
			return err
		}
	}
	if err := expectAppend(j, newChange("k1", 5, journal.Settled, journal.Succeeded)); err != nil {
		return err
	}
	if err := beginAgain(j, op, "k1"); err != nil {
		return err
	}
	for _, other := range []journal.Operation{
		{Name: op.Name, Scope: "another", ID: op.ID}, {Name: "refund", Scope: op.Scope, ID: op.ID},
		{Name: op.Name, Scope: op.Scope, ID: "order-2"}, {Name: op.Name, Scope: op.Scope, ID: op.ID, Repeat: 1},
	} {
		if err := expectNil(other, "another identity, "+other.String()); err != nil {
			return err
		}
	}
	if err := expectInsert(j, newRecord("k2", "")); err != nil {
		return err
	}
	if err := expectAppend(j, newChange("k2", 1, journal.Settled, journal.Succeeded)); err != nil {
		return err
	}
	return expectNil(newRecord("", "").Operation, "an operation without an ID")
}

// beginAgain begins an existing identity several times, as the client does, so that a
// journal may hold its newest intent in memory.
func beginAgain(j journal.Journal, op journal.Operation, newest string) error {
	for range 3 {
		r := newRecord("unused", "")
		r.Operation = op
		if err := expectConflict(j, r, journal.Checks{}, journal.ConflictIdentity, newest); err != nil {
			return err
		}
	}
	return nil
}

// expectCached compares what Cached returns for an identity, if not nil, with its
// newest intent.
func expectCached(j journal.Journal, op journal.Operation, newest string) (found bool, err error) {
	got := j.(journal.Cacher).Cached(op)
	if got == nil {
		return false, nil
	}
	want, err := j.Get(context.Background(), newest)
	switch {
	case err != nil:
		return true, err
	case want == nil:
		return true, fmt.Errorf("the cached intent %s no longer exists", got.Key)
	case want.Summary().State != journal.Succeeded:
		return true, fmt.Errorf("a cached intent %s, want nil: the newest intent, %s, is %s", got.Key, newest, want.Summary().State)
	case !want.PrunedAt.IsZero():
		return true, fmt.Errorf("a cached intent %s, want nil: it is pruned", got.Key)
	}
	if err := sameRecord(got, want); err != nil {
		return true, fmt.Errorf("the cached record differs from what Get returns: %w", err)
	}
	return true, nil
}

// sameRecord compares all fields of records.
func sameRecord(got, want *journal.Record) error {
	if err := sameCreation(got, want); err != nil {
		return err
	}
	if len(got.Changes) != len(want.Changes) || got.Owner != want.Owner || !got.PrunedAt.Equal(want.PrunedAt) {
		return fmt.Errorf("%d changes, owner %d, PrunedAt %v; want %d, %d, %v",
			len(got.Changes), got.Owner, got.PrunedAt, len(want.Changes), want.Owner, want.PrunedAt)
	}
	for i := range got.Changes {
		g, w := &got.Changes[i], &want.Changes[i]
		err := sameChange(g, w)
		if err == nil && (g.Reply != nil || w.Reply != nil) {
			if w.Reply == nil {
				err = errors.New("it has an outcome, want none")
			} else {
				err = sameReply(g.Reply, w.Reply)
			}
		}
		if err != nil {
			return fmt.Errorf("change %d: %w", i+1, err)
		}
	}
	same := func(a, b journal.AuditEntry) bool {
		return a.Key == b.Key && a.At.Equal(b.At) && a.Reason == b.Reason && a.Text == b.Text
	}
	if !slices.EqualFunc(got.Audit, want.Audit, same) {
		return fmt.Errorf("the audit entries are %+v, want %+v", got.Audit, want.Audit)
	}
	return nil
}

// cachedEqual checks that Cached returns the record that Get returns, before and after
// reopening.
func cachedEqual(s *session, j journal.Journal) error {
	if _, ok := j.(journal.Cacher); !ok {
		return noCacher
	}
	newest := map[journal.Operation]string{}
	succeed := func(key string, op journal.Operation, previous string, before ...*journal.Change) error {
		r := newRecord(key, "")
		r.Operation, r.Previous = op, previous
		if err := expectInsert(j, r); err != nil {
			return err
		}
		last := newChange(key, len(before)+1, journal.Settled, journal.Succeeded)
		for _, c := range append(before, last) {
			if err := expectAppend(j, c); err != nil {
				return err
			}
		}
		newest[op] = key
		return nil
	}
	op := func(id string, repeat int) journal.Operation {
		op := newRecord("", id).Operation
		op.Repeat = repeat
		return op
	}
	err := errors.Join(
		succeed("k1", op("plain", 0), ""),
		succeed("k2", op("plain", 1), ""),
		succeed("k3", op("failed first", 0), "",
			newChange("k3", 1, journal.Settled, journal.Failed), newChange("k3", 2, journal.Claimed, journal.Pending)),
		succeed("k4", op("in doubt first", 0), "",
			newChange("k4", 1, journal.MarkedInDoubt, journal.InDoubt), newChange("k4", 2, journal.Claimed, journal.Pending)),
		expectInsert(j, newRecord("k5", "successor")),
		expectAppend(j, newChange("k5", 1, journal.Settled, journal.Failed)),
		succeed("k6", op("successor", 0), "k5"),
		j.Audit(context.Background(), journal.AuditEntry{Key: "k1", At: minute(9), Reason: "alert", Text: "look at it"}),
	)
	if err != nil {
		return err
	}
	found := 0
	for _, when := range []string{"at once", "after reopening"} {
		for op, key := range newest {
			if err := beginAgain(j, op, key); err != nil {
				return err
			}
			op.Cost++ // no part of the identity
			ok, err := expectCached(j, op, key)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", when, op, err)
			}
			if ok {
				found++
			}
		}
		if j, err = s.reopen(j); err != nil {
			return err
		}
	}
	if found == 0 {
		return nothingFound
	}
	return nil
}

// cachedChange is a change of a succeeded intent that Cached must not miss.
type cachedChange struct {
	name   string
	id     string // of the intent
	newest string // key of the newest intent of its identity afterwards
	do     func(j journal.Journal) error
}

// cachedChanges returns changes of the intents that insertCached inserts.
func cachedChanges() []cachedChange {
	ctx := context.Background()
	prune := func(outcomes, identities int) func(j journal.Journal) error {
		return func(j journal.Journal) error {
			n, err := j.Prune(ctx, minute(outcomes), minute(identities))
			if err == nil && n != 1 {
				err = fmt.Errorf("Prune returns %d, want 1", n)
			}
			return err
		}
	}
	return []cachedChange{
		{"an audit entry", "order-0", "k0", func(j journal.Journal) error {
			return j.Audit(ctx, journal.AuditEntry{Key: "k0", At: minute(80), Reason: "alert", Text: "look at it"})
		}},
		{"a pruned outcome", "order-2", "k2", prune(30, -1000)},
		{"a pruned identity", "order-2", "k2", prune(30, 30)},
	}
}

// insertCached inserts three intents that succeeded, and reports whether Cached returns
// any of them.
func insertCached(j journal.Journal) (found bool, err error) {
	for _, i := range []int{2, 0, 1} { // the one to be pruned is the oldest
		key, r := fmt.Sprint("k", i), newRecord(fmt.Sprint("k", i), fmt.Sprint("order-", i))
		c := newChange(key, 1, journal.Settled, journal.Succeeded)
		if i != 2 {
			r.CreatedAt, c.At = minute(50), minute(60)
		}
		if err := errors.Join(expectInsert(j, r), expectAppend(j, c), beginAgain(j, r.Operation, key)); err != nil {
			return false, err
		}
		ok, err := expectCached(j, r.Operation, key)
		if err != nil {
			return false, err
		}
		found = found || ok
	}
	return found, nil
}

// cachedChanged checks that Cached returns nothing outdated after a change through the
// same opener.
func cachedChanged(_ *session, j journal.Journal) error {
	if _, ok := j.(journal.Cacher); !ok {
		return noCacher
	}
	found, err := insertCached(j)
	if err != nil {
		return err
	}
	for _, c := range cachedChanges() {
		if err := c.do(j); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if _, err := expectCached(j, newRecord("", c.id).Operation, c.newest); err != nil {
			return fmt.Errorf("after %s: %w", c.name, err)
		}
	}
	if !found {
		return nothingFound
	}
	return nil
}

// cachedChangedByOther checks that Cached returns nothing outdated soon after a change
// through another opener.
func cachedChangedByOther(s *session, j journal.Journal) error {
	if _, ok := j.(journal.Cacher); !ok {
		return noCacher
	}
	found, err := insertCached(j)
	if err != nil {
		return err
	}
	other, _, err := s.openOther()
	if err != nil {
		return err
	}
	for _, c := range cachedChanges() {
		if err := c.do(other); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	// Cacher allows one second. The rest is for slow machines.
	deadline := time.Now().Add(10 * time.Second)
	for _, c := range cachedChanges() {
		for {
			_, err := expectCached(j, newRecord("", c.id).Operation, c.newest)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("more than a second after %s by another opener: %w", c.name, err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	if !found {
		return nothingFound
	}
	return nil
}

// cachedShared checks that the journal does not modify a record that Cached returned.
// The race detector finds more than the comparison.
func cachedShared(_ *session, j journal.Journal) error {
	cacher, ok := j.(journal.Cacher)
	if !ok {
		return noCacher
	}
	if found, err := insertCached(j); err != nil || !found {
		if err == nil {
			err = nothingFound
		}
		return err
	}
	type held struct {
		record *journal.Record
		text   []byte
	}
	const readers = 4
	errs := make([]error, readers+1)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for reader := range readers {
		wg.Go(func() {
			var records []held
			for end := false; !end; {
				select {
				case <-done:
					end = true
				default:
				}
				for _, id := range []string{"order-0", "order-1", "order-2"} {
					r := cacher.Cached(newRecord("", id).Operation)
					if r == nil || len(records) > 0 && records[len(records)-1].record == r {
						continue
					}
					text, err := json.Marshal(r)
					errs[reader] = errors.Join(errs[reader], err)
					if len(records) < 100 {
						records = append(records, held{r, text})
					}
				}
			}
			for _, h := range records {
				text, err := json.Marshal(h.record)
				if err == nil && !bytes.Equal(text, h.text) {
					err = fmt.Errorf("the record of %s was modified after Cached returned it", h.record.Key)
				}
				errs[reader] = errors.Join(errs[reader], err)
			}
		})
	}
	for range 20 {
		entry := journal.AuditEntry{Key: "k0", At: minute(80), Reason: "alert", Text: "look at it"}
		errs[readers] = errors.Join(errs[readers], j.Audit(context.Background(), entry),
			beginAgain(j, newRecord("", "order-0").Operation, "k0"))
	}
	for _, c := range cachedChanges() {
		errs[readers] = errors.Join(errs[readers], c.do(j))
	}
	close(done)
	wg.Wait()
	return errors.Join(errs...)
}
