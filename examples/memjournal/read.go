package memjournal

import (
	"context"
	"fmt"
	"strconv"

	"github.com/idem-go/idem/journal"
)

// Get implements journal.Journal.
func (j *Journal) Get(ctx context.Context, key string) (*journal.Record, error) {
	if err := j.lock(ctx); err != nil {
		return nil, err
	}
	defer j.store.mu.Unlock()
	if in := j.store.byKey[key]; in != nil {
		return j.view(in), nil
	}
	return nil, nil
}

// Cached implements journal.Cacher. All intents are in memory, so it finds each one
// that has succeeded, and nothing it returns is outdated. Such an intent has no owner:
// its record is the same for every opener.
func (j *Journal) Cached(op journal.Operation) *journal.Record {
	if j.lock(context.Background()) != nil {
		return nil
	}
	defer j.store.mu.Unlock()
	in := j.store.newest[identityOf(op)] // without an ID: nil
	if in == nil || in.record.Summary().State != journal.Succeeded || !in.record.PrunedAt.IsZero() {
		return nil
	}
	return in.record
}

// Page implements journal.Journal. The cursor is the number of the last intent of the
// page before, so that pruning between two pages does no harm.
func (j *Journal) Page(ctx context.Context, f journal.Filter, after string, limit int) (page []*journal.Record, next string, err error) {
	last := 0
	if after != "" {
		if last, err = strconv.Atoi(after); err != nil {
			return nil, "", fmt.Errorf("memjournal: the cursor %q was not returned by Page", after)
		}
	}
	if err := j.lock(ctx); err != nil {
		return nil, "", err
	}
	defer j.store.mu.Unlock()
	for _, in := range j.store.intents {
		if in.number <= last || !f.Match(in.record) {
			continue
		}
		if len(page) == limit {
			return page, strconv.Itoa(last), nil // there is at least one more
		}
		page, last = append(page, j.view(in)), in.number
	}
	return page, "", nil
}

// Stats implements journal.Journal.
func (j *Journal) Stats(ctx context.Context) (journal.Stats, error) {
	if err := j.lock(ctx); err != nil {
		return journal.Stats{}, err
	}
	defer j.store.mu.Unlock()
	all := journal.Stats{ByReason: map[string]int64{}, Operations: map[string]journal.Stats{}}
	add := func(operation string, to func(st *journal.Stats)) {
		st, ok := all.Operations[operation]
		if !ok {
			st.ByReason = map[string]int64{}
		}
		to(&st)
		all.Operations[operation] = st
		to(&all)
	}
	for _, in := range j.store.intents {
		add(in.record.Operation.Name, func(st *journal.Stats) { addIntent(st, in.record) })
	}
	for _, c := range j.store.counters {
		add(c.Operation, func(st *journal.Stats) { addCounter(st, c) })
	}
	return all, nil
}

func addIntent(st *journal.Stats, r *journal.Record) {
	st.Intents++
	switch r.Summary().State {
	case journal.Pending:
		st.Pending++
	case journal.InDoubt:
		st.InDoubt++
	default:
		return
	}
	if st.Oldest.IsZero() || r.CreatedAt.Before(st.Oldest) {
		st.Oldest = r.CreatedAt
	}
}

func addCounter(st *journal.Stats, c journal.Counter) {
	if c.Reason == journal.ReasonPruned {
		st.Intents += c.Count // dropped intents still count
		return
	}
	if journal.PreventsDuplicate(c.Reason) {
		st.DuplicatesPrevented += c.Count
		st.CostPrevented += c.Cost
	}
	st.ByReason[c.Reason] += c.Count
}
