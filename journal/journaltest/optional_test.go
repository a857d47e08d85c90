package journaltest_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/journal"
	"github.com/idem-go/idem/journal/journaltest"
)

// faults are what is wrong with an optional.
type faults struct {
	newKey func(opener int, op journal.Operation) string // nil: keys are right

	anyState, anyScope, withoutID bool // Cached returns too much
	cut                           bool // another outcome
	noPrune, noAudit              bool // misses changes
	forever                       bool // misses changes of other openers
	inPlace                       bool // modifies records
	never                         bool // Cached returns nothing, which is no fault
}

// optional adds a KeyMaker and a Cacher to a journal.
type optional struct {
	journal.Journal
	faults
	opener int

	mu   sync.Mutex
	kept map[journal.Operation]cached
}

type cached struct {
	record *journal.Record
	at     time.Time
}

// NewKey implements journal.KeyMaker.
func (o *optional) NewKey(op journal.Operation) (string, error) {
	if o.newKey == nil {
		return uuid.NewString(), nil
	}
	return o.newKey(o.opener, op), nil
}

func (o *optional) identity(op journal.Operation) journal.Operation {
	op.Cost = 0
	if o.anyScope {
		op.Scope = ""
	}
	return op
}

// Cached implements journal.Cacher.
func (o *optional) Cached(op journal.Operation) *journal.Record {
	o.mu.Lock()
	defer o.mu.Unlock()
	c, ok := o.kept[o.identity(op)]
	if !ok || o.never || time.Since(c.at) > time.Second && !o.forever {
		return nil
	}
	return c.record
}

// drop forgets the records that match.
func (o *optional) drop(match func(r *journal.Record) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for op, c := range o.kept {
		if match(c.record) {
			delete(o.kept, op)
		}
	}
}

// Begin implements journal.Journal. It keeps what it finds.
func (o *optional) Begin(ctx context.Context, r *journal.Record, checks journal.Checks) (journal.Conflict, *journal.Record, error) {
	conflict, current, err := o.Journal.Begin(ctx, r, checks)
	if conflict == journal.NoConflict {
		o.drop(func(kept *journal.Record) bool { return kept.Operation.SameIdentity(r.Operation) })
	}
	if current != nil && (o.anyState || current.Summary().State == journal.Succeeded && current.PrunedAt.IsZero()) {
		o.keep(current)
	}
	return conflict, current, err
}

// keep puts a copy into memory, unless a record of the identity is there.
func (o *optional) keep(r *journal.Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	own := *r
	own.Changes, own.Audit = slices.Clone(r.Changes), slices.Clone(r.Audit)
	if last := len(own.Changes) - 1; o.cut && last >= 0 && own.Changes[last].Reply != nil {
		reply := *own.Changes[last].Reply
		reply.Body = bytes.ToUpper(reply.Body)
		own.Changes[last].Reply = &reply
	}
	if o.kept == nil {
		o.kept = map[journal.Operation]cached{}
	}
	if _, ok := o.kept[o.identity(r.Operation)]; !ok {
		o.kept[o.identity(r.Operation)] = cached{&own, time.Now()}
	}
}

// Change implements journal.Journal.
func (o *optional) Change(ctx context.Context, c *journal.Change) (journal.Conflict, *journal.Record, error) {
	conflict, current, err := o.Journal.Change(ctx, c)
	if o.withoutID && c.State == journal.Succeeded {
		if r, err := o.Get(ctx, c.Key); err == nil {
			o.keep(r)
		}
	}
	return conflict, current, err
}

// Audit implements journal.Journal.
func (o *optional) Audit(ctx context.Context, entry journal.AuditEntry) error {
	err := o.Journal.Audit(ctx, entry)
	if o.inPlace {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, c := range o.kept {
			if c.record.Key == entry.Key {
				c.record.Audit = append(c.record.Audit, entry)
			}
		}
		return err
	}
	if !o.noAudit {
		o.drop(func(r *journal.Record) bool { return r.Key == entry.Key })
	}
	return err
}

// Prune implements journal.Journal.
func (o *optional) Prune(ctx context.Context, outcomes, identities time.Time) (int, error) {
	n, err := o.Journal.Prune(ctx, outcomes, identities)
	if !o.noPrune {
		o.drop(func(*journal.Record) bool { return true })
	}
	return n, err
}

// optionalStore returns a store on SQLite whose journals have faults.
func optionalStore(t *testing.T, f faults) journaltest.Store {
	opener := 0
	return newStore(t, func(j journal.Journal) journal.Journal {
		opener++
		return &optional{Journal: j, faults: f, opener: opener}
	})
}

// counting returns keys that count from 1 for each opener.
func counting() func(int, journal.Operation) string {
	var mu sync.Mutex
	made := map[int]int{}
	return func(opener int, _ journal.Operation) string {
		mu.Lock()
		defer mu.Unlock()
		made[opener]++
		return fmt.Sprint("key-", made[opener])
	}
}

// repeating returns UUIDs, every hundredth twice.
func repeating() func(int, journal.Operation) string {
	var mu sync.Mutex
	made, last := 0, ""
	return func(int, journal.Operation) string {
		mu.Lock()
		defer mu.Unlock()
		if made++; made%100 != 0 {
			last = uuid.NewString()
		}
		return last
	}
}

// TestChecks_OptionalInterfaceWithOneFault_IsFound: each fault of a KeyMaker or Cacher
// is found by the check of that name.
func TestChecks_OptionalInterfaceWithOneFault_IsFound(t *testing.T) {
	t.Parallel()
	key := func(key string) func(int, journal.Operation) string {
		return func(int, journal.Operation) string { return key }
	}
	for name, c := range map[string]struct {
		broken faults
		check  string
		finds  string // part of the error
	}{
		"no key":            {faults{newKey: key("")}, "NewKey", "0 bytes"},
		"a long key":        {faults{newKey: key(strings.Repeat("k", 256))}, "NewKey", "256 bytes"},
		"a space":           {faults{newKey: key("a key")}, "NewKey", "byte 1"},
		"a line break":      {faults{newKey: key("key\n")}, "NewKey", "byte 3"},
		"a quote":           {faults{newKey: key(`"key"`)}, "NewKey", "byte 0"},
		"beyond ASCII":      {faults{newKey: key("clé")}, "NewKey", "byte 2"},
		"one key":           {faults{newKey: key("key")}, "NewKey", "before"},
		"a key of the name": {faults{newKey: func(_ int, op journal.Operation) string { return "key-" + op.Name[:4] + op.ID }}, "NewKey", "before"},
		"counting anew":     {faults{newKey: counting()}, "NewKey", "after reopening"},
		"a key twice":       {faults{newKey: repeating()}, "NewKey concurrently", "2 times"},

		"any state":       {faults{anyState: true}, "Cached returns only what succeeded", "for a new intent"},
		"any scope":       {faults{anyScope: true}, "Cached returns only what succeeded", "another identity"},
		"without an ID":   {faults{withoutID: true}, "Cached returns only what succeeded", "without an ID"},
		"another outcome": {faults{cut: true}, "Cached equals Get", "the outcome's body"},
		"without audit":   {faults{noAudit: true}, "Cached after a change", "an audit entry"},
		"without pruning": {faults{noPrune: true}, "Cached after a change", "a pruned outcome"},
		"forever":         {faults{forever: true}, "Cached after a change by another opener", "an audit entry by another opener"},
		"modified":        {faults{inPlace: true}, "Cached records are shared", "was modified"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if raceEnabled && c.broken.inPlace {
				t.Skip("the race detector reports the fault itself, and fails the test")
			}
			require.ErrorContains(t, journaltest.Check(c.check, optionalStore(t, c.broken)), c.finds)
		})
	}
}

// TestRun_OptionalInterfaces_Pass: the checks find no fault in a correct KeyMaker and
// Cacher around another journal.
func TestRun_OptionalInterfaces_Pass(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(t *testing.T) journaltest.Store { return optionalStore(t, faults{}) })
}

// TestCheck_CacherWithoutRecords_IsSkipped: a check that has nothing to compare is
// skipped, and says why.
func TestCheck_CacherWithoutRecords_IsSkipped(t *testing.T) {
	t.Parallel()
	for _, check := range []string{"Cached equals Get", "Cached after a change", "Cached records are shared"} {
		err := journaltest.Check(check, optionalStore(t, faults{never: true}))
		require.IsType(t, journaltest.NotApplicable(""), err)
	}
}
