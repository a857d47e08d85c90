package memjournal

import (
	"context"
	"slices"

	"github.com/idem-go/idem/journal"
)

// Change implements journal.Journal.
func (j *Journal) Change(ctx context.Context, c *journal.Change) (*journal.Record, bool, error) {
	if err := j.lock(ctx); err != nil {
		return nil, false, err
	}
	s := j.store
	defer s.mu.Unlock()
	in := s.byKey[c.Key]
	if in == nil {
		return nil, false, nil
	}
	if !j.allowed(in, c) {
		return j.view(in), false, nil
	}
	change := cloneChange(c)
	change.Version = in.record.Summary().Version + 1 // a late success may name an older one
	in.update(func(r *journal.Record) { r.Changes = append(slices.Clip(r.Changes), change) })
	in.owner = nil
	if c.Kind == journal.Claimed || c.Kind == journal.AttemptStarted {
		in.owner = j
	}
	return nil, true, nil
}

// allowed reports whether a change may follow what is recorded.
func (j *Journal) allowed(in *intent, c *journal.Change) bool {
	now := in.record.Summary()
	next := now.Version + 1
	switch {
	case now.State == journal.Succeeded || now.State == journal.Failed:
		return c.Kind == journal.Claimed && c.Version == next // the outcome stays
	case c.Kind == journal.Settled && c.State == journal.Succeeded:
		return c.Version <= next // even after a claim by another opener: a success is never lost
	case j.ownership(in) == journal.OwnedByLive:
		return false
	}
	return c.Version == next
}

// update replaces the record by a changed copy. do must not write into the slices that
// the copy shares with the old record.
func (in *intent) update(do func(r *journal.Record)) {
	r := *in.record
	do(&r)
	in.record = &r
}
