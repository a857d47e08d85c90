package memjournal

import (
	"context"
	"fmt"
	"math"

	"github.com/idem-go/idem/journal"
)

// Begin implements journal.Journal.
func (j *Journal) Begin(ctx context.Context, r *journal.Record, checks journal.Checks) (journal.Conflict, *journal.Record, error) {
	if err := j.lock(ctx); err != nil {
		return journal.NoConflict, nil, err
	}
	s := j.store
	defer s.mu.Unlock()
	switch conflict, other := s.conflict(r, checks); {
	case other != nil:
		return conflict, j.view(other), nil
	case conflict != journal.NoConflict:
		return conflict, nil, nil
	}
	if s.byKey[r.Key] != nil {
		return journal.NoConflict, nil, fmt.Errorf("memjournal: the key %q belongs to another intent: make a new key for each intent", r.Key)
	}
	s.insert(r, j)
	return journal.NoConflict, nil, nil
}

// insert adds an intent that is owned by an opener.
func (s *Store) insert(r *journal.Record, owner *Journal) {
	s.created++
	in := &intent{number: s.created, record: cloneRecord(r), owner: owner, since: r.CreatedAt}
	in.record.Changes, in.record.Audit = nil, nil
	in.record.Owner = journal.Unowned
	s.intents = append(s.intents, in)
	s.byKey[r.Key] = in
	if r.Operation.ID != "" {
		s.newest[identityOf(r.Operation)] = in
	}
}

// conflict returns what prevents r from being inserted: first its identity, then an
// alias, then a duplicate, then the limit.
func (s *Store) conflict(r *journal.Record, checks journal.Checks) (journal.Conflict, *intent) {
	id := identityOf(r.Operation)
	if r.Operation.ID != "" {
		newest := s.newest[id]
		alias := s.aliases[id]
		switch {
		case alias.of != nil && alias.after == newest && r.Previous == "":
			return journal.ConflictDuplicate, alias.of
		case newest != nil && (newest.record.Key != r.Previous || !asRead(newest.record, checks)):
			if failedTransiently(newest.record) && s.overLimit(r, checks) {
				return journal.ConflictLimit, nil // it did not count, and tried again it would
			}
			return journal.ConflictIdentity, newest
		}
	}
	return s.guardConflict(r, checks)
}

// guardConflict returns the duplicate of r, or that its budget is used up.
func (s *Store) guardConflict(r *journal.Record, checks journal.Checks) (journal.Conflict, *intent) {
	if first := s.duplicate(r, checks); first != nil {
		if id := identityOf(r.Operation); checks.Alias && r.Operation.ID != "" {
			s.aliases[id] = alias{of: first, after: s.newest[id]}
		}
		return journal.ConflictDuplicate, first
	}
	if s.overLimit(r, checks) {
		return journal.ConflictLimit, nil
	}
	return journal.NoConflict, nil
}

// asRead reports whether an intent may still be succeeded by the one that is begun.
func asRead(r *journal.Record, checks journal.Checks) bool {
	now := r.Summary()
	if checks.PreviousVersion != 0 {
		return now.Version == checks.PreviousVersion
	}
	return now.State == journal.Failed
}

func failedTransiently(r *journal.Record) bool {
	now := r.Summary()
	return now.State == journal.Failed && (now.Failure == journal.FailedNotSent || now.Failure == journal.FailedTransient)
}

// duplicate returns the first intent inside the window that has the payload of r and
// is no intended repeat.
func (s *Store) duplicate(r *journal.Record, checks journal.Checks) *intent {
	if checks.DuplicatesSince.IsZero() {
		return nil
	}
	for _, in := range s.intents {
		if in.record.Key != r.Key && counts(in, r.Operation) && in.record.Operation.Repeat == 0 && r.Operation.Repeat == 0 &&
			in.record.Fingerprint == r.Fingerprint && !in.since.Before(checks.DuplicatesSince) {
			return in
		}
	}
	return nil
}

// overLimit reports whether r would exceed its budget.
func (s *Store) overLimit(r *journal.Record, checks journal.Checks) bool {
	limit := checks.Limit
	if limit == (journal.Limit{}) {
		return false
	}
	intents, cost := 1, r.Operation.Cost
	for _, in := range s.intents {
		if in.record.Key != r.Key && counts(in, r.Operation) && !in.since.Before(checks.LimitSince) {
			intents++
			if cost += in.record.Operation.Cost; cost < 0 {
				cost = math.MaxInt64
			}
		}
	}
	return (limit.Intents > 0 && intents > limit.Intents) || (limit.Cost > 0 && cost > limit.Cost)
}

// counts reports whether an intent has the scope and name of op and has not failed.
func counts(in *intent, op journal.Operation) bool {
	r := in.record
	return r.Operation.Scope == op.Scope && r.Operation.Name == op.Name && r.Summary().State != journal.Failed
}
