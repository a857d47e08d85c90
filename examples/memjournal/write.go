package memjournal

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/idem-go/idem/journal"
)

// Audit implements journal.Journal. An entry of an unknown key is ignored.
func (j *Journal) Audit(ctx context.Context, entry journal.AuditEntry) error {
	if err := j.lock(ctx); err != nil {
		return err
	}
	defer j.store.mu.Unlock()
	if in := j.store.byKey[entry.Key]; in != nil {
		in.update(func(r *journal.Record) { r.Audit = append(slices.Clip(r.Audit), entry) })
	}
	return nil
}

// Value implements journal.Journal. update is called while the store is locked: it must
// not use the store.
func (j *Journal) Value(ctx context.Context, name string, update func(old []byte) ([]byte, error)) ([]byte, error) {
	if err := j.lock(ctx); err != nil {
		return nil, err
	}
	defer j.store.mu.Unlock()
	value := bytes.Clone(j.store.values[name]) // nil if there is none
	if update == nil {
		return value, nil
	}
	value, err := update(value)
	if err != nil {
		return nil, err
	}
	j.store.values[name] = bytes.Clone(value)
	return value, nil
}

// counter is what counts are added up by.
type counter struct{ operation, reason string }

// Count implements journal.Journal.
func (j *Journal) Count(ctx context.Context, counters []journal.Counter) error {
	if err := j.lock(ctx); err != nil {
		return err
	}
	defer j.store.mu.Unlock()
	for _, c := range counters {
		j.store.count(c)
	}
	return nil
}

// count adds to a counter.
func (s *Store) count(c journal.Counter) {
	key := counter{c.Operation, c.Reason}
	sum := s.counters[key]
	c.Count, c.Cost = c.Count+sum.Count, c.Cost+sum.Cost
	s.counters[key] = c
}

// Prune implements journal.Journal.
func (j *Journal) Prune(ctx context.Context, outcomes, identities time.Time) (n int, err error) {
	if err := j.lock(ctx); err != nil {
		return 0, err
	}
	s := j.store
	defer s.mu.Unlock()
	for _, in := range slices.Clone(s.intents) {
		settled, ok := settledAt(in.record)
		switch {
		case !ok:
		case settled.Before(identities):
			s.drop(in)
			n++
		case settled.Before(outcomes) && in.record.PrunedAt.IsZero():
			in.update(func(r *journal.Record) { shorten(r, settled) })
			n++
		}
	}
	return n, nil
}

// settledAt returns when an intent was settled, and false if it is open.
func settledAt(r *journal.Record) (time.Time, bool) {
	state := r.Summary().State
	if state != journal.Succeeded && state != journal.Failed {
		return time.Time{}, false
	}
	return r.Changes[len(r.Changes)-1].At, true
}

// drop removes everything of an intent. Its identity and its aliases are free again.
// Stats still counts it.
func (s *Store) drop(in *intent) {
	s.intents = slices.DeleteFunc(s.intents, func(other *intent) bool { return other == in })
	delete(s.byKey, in.record.Key)
	if id := identityOf(in.record.Operation); s.newest[id] == in {
		delete(s.newest, id)
		for _, other := range s.intents { // one that is still open may be left
			if identityOf(other.record.Operation) == id {
				s.newest[id] = other
			}
		}
	}
	maps.DeleteFunc(s.aliases, func(_ identity, a alias) bool { return a.of == in })
	s.count(journal.Counter{Operation: in.record.Operation.Name, Reason: journal.ReasonPruned, Count: 1})
}

// shorten removes the payload and the outcome. What is left is enough to say that the
// intent was settled, and how.
func shorten(r *journal.Record, settled time.Time) {
	r.PrunedAt = settled
	r.Head, r.Payload, r.Audit = nil, nil, nil
	r.Changes = slices.Clone(r.Changes)
	for i := range r.Changes {
		c := &r.Changes[i]
		c.Reply, c.NewAttempts, c.Note = nil, nil, ""
	}
}
