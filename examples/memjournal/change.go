package memjournal

import (
	"context"
	"slices"

	"github.com/idem-go/idem/journal"
)

// Change implements journal.Journal.
func (j *Journal) Change(ctx context.Context, c *journal.Change) (journal.Conflict, *journal.Record, error) {
	if err := j.lock(ctx); err != nil {
		return journal.NoConflict, nil, err
	}
	s := j.store
	defer s.mu.Unlock()
	in := s.byKey[c.Key]
	if in == nil {
		return journal.ConflictVersion, nil, nil
	}
	if !j.allowed(in, c) {
		return journal.ConflictVersion, j.view(in), nil
	}
	if c.Kind == journal.Claimed {
		switch conflict, other := s.claimConflict(in, c); {
		case other != nil:
			return conflict, j.view(other), nil
		case conflict != journal.NoConflict:
			return conflict, nil, nil
		}
		if countsAnew(in) {
			in.since = c.At
		}
	}
	change := cloneChange(c)
	change.Version = in.record.Summary().Version + 1 // a late success may name an older one
	in.update(func(r *journal.Record) { r.Changes = append(slices.Clip(r.Changes), change) })
	in.owner = nil
	if c.Kind == journal.Claimed || c.Kind == journal.AttemptStarted {
		in.owner = j
	}
	return journal.NoConflict, nil, nil
}

// claimConflict returns what prevents a claim that allowed lets pass. A store in memory
// keeps every outcome, so that no intent is ever exhausted.
func (s *Store) claimConflict(in *intent, c *journal.Change) (journal.Conflict, *intent) {
	r := in.record
	if r.Operation.ID != "" {
		if newest := s.newest[identityOf(r.Operation)]; newest != in {
			return journal.ConflictIdentity, newest
		}
	}
	if !countsAnew(in) {
		return journal.NoConflict, nil // it has kept its place in windows and budgets
	}
	return s.guardConflict(r, c.Checks)
}

// countsAnew reports whether a claim makes an intent count from then on: it has
// failed, or was released before anything was sent.
func countsAnew(in *intent) bool {
	now := in.record.Summary()
	unsent := !now.MayHaveExecuted && now.FirstSent.IsZero()
	return now.State == journal.Failed || now.State == journal.Pending && in.owner == nil && unsent
}

// allowed reports whether a change may follow what is recorded.
func (j *Journal) allowed(in *intent, c *journal.Change) bool {
	now := in.record.Summary()
	next := now.Version + 1
	switch {
	case now.State == journal.Succeeded || now.State == journal.Failed:
		again := c.Kind == journal.Claimed || c.Kind == journal.Resolved && c.State == journal.Failed
		return again && now.State == journal.Failed && c.Version == next
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
