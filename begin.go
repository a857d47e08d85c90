package idem

import (
	"context"
	"fmt"
	"time"

	"github.com/idem-go/idem/internal/fingerprint"
	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/internal/wire"
	"github.com/idem-go/idem/journal"
)

// begin gives r a key and inserts it, or finds the intent that stands in its way. h
// makes r's head, once it is needed; a tool's record has its own. in is made that of
// what was inserted or found, where there is no error.
func (c *Client) begin(ctx context.Context, in *Intent, r *journal.Record, h *wire.Head, p *Policy) error {
	if !c.enter() {
		return isClosed(r.Operation.String())
	}
	defer c.work.Done()
	in.client = c
	if standing := c.known(r.Operation); standing != nil && standing.Fingerprint == r.Fingerprint {
		return c.beginKnown(in, standing)
	}
	var err error
	if r.Key, err = p.Contract.newKey(r.Operation, c.usualKey); err != nil {
		return fmt.Errorf("idem: %s: %w; nothing was sent", r.Operation, err)
	}
	if field := r.Terms.KeyPlace.Field(); field != "" && !r.Terms.Tool {
		if r.Head == nil {
			r.Head = h.Encode()
		}
		if _, err := wire.NewRequest(r, wire.Secrets{}); err != nil { // the body has no such place
			return fmt.Errorf("idem: %s: contract %q: %w; nothing was sent", r.Operation, p.Contract.Name, err)
		}
	}
	if err := c.saveClock(); err != nil {
		return c.journalError(r, "begin", err)
	}
	if r.Head == nil {
		r.Head = h.Encode()
	}
	// Before others can find it: the caller that does, and runs it first, takes this note
	// with it, so that the caller here does not take it for one that was never run.
	c.mu.Lock()
	c.writes = true // or would: what it sees of the clock is made durable too
	c.idle[r.Key] = idleClaim{}
	c.mu.Unlock()
	inserted := false
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if claim, ok := c.idle[r.Key]; ok && inserted {
			claim.since = time.Now() // from now on it may be released: there is a row
			c.idle[r.Key] = claim
		} else {
			delete(c.idle, r.Key)
		}
	}()
	for {
		r.CreatedAt = c.clock.Now()
		obstacle, standing, err := c.journal.Begin(ctx, r, checksOf(p, r.Operation, r.CreatedAt))
		if err != nil {
			return c.journalError(r, "begin", err)
		}
		switch obstacle {
		case journal.ConflictLimit:
			return c.overLimit(ctx, nil, r.Operation, p)
		case journal.ConflictDuplicate:
			if err, done := c.reemitted(ctx, in, r, standing, p); done {
				return err
			}
		}
		if obstacle == journal.NoConflict {
			inserted = true
			r.Owner = journal.OwnedBySelf
			in.record = r
			return nil
		}
		c.clock.SeeRecord(standing)
		in.record = standing
		m := lifecycle.Decide(standing, c.running(standing.Key), c.samePayload(standing, r, p))
		if m == lifecycle.DecideClaim && c.outlived(standing, p) {
			m = lifecycle.DecideSupersede
		}
		switch m {
		case lifecycle.DecideMismatch:
			c.count(standing.Operation, journal.ReasonMismatch)
			err := failure(ErrMismatch, nil,
				"%s was begun with another payload: it differs in %s; it is %s and keeps its own payload; use another ID for another thing, or Operation.Repeat; nothing was sent",
				describe(standing), c.difference(standing, r, p), standing.Summary().State)
			c.tell(ctx, in, standing.Operation, journal.ReasonMismatch, err)
			return err
		case lifecycle.DecideSupersede:
			r.Previous = standing.Key
			continue
		case lifecycle.DecidePruned:
			return forgotten(standing)
		}
		return nil
	}
}

// beginKnown begins what is settled and at hand: the journal would say the same, and
// hand out a copy.
func (c *Client) beginKnown(in *Intent, standing *journal.Record) error {
	c.mu.Lock()
	c.writes = true // or would: what it sees of the clock is made durable too
	c.mu.Unlock()
	if err := c.saveClock(); err != nil {
		return c.journalError(standing, "begin", err)
	}
	c.clock.SeeRecord(standing)
	in.record = standing
	return nil
}

// checksOf returns what the journal checks where an intent of op is begun, or claimed,
// at a moment. An intended repeat is never taken for a duplicate.
func checksOf(p *Policy, op Operation, at time.Time) journal.Checks {
	checks := journal.Checks{Limit: p.Limit, Alias: !p.Refuse}
	if p.Window > 0 && op.Repeat == 0 {
		checks.DuplicatesSince = at.Add(-p.Window)
	}
	if checks.Limit != (Limit{}) {
		checks.LimitSince = at.Add(-p.Limit.Per)
	}
	return checks
}

// overLimit counts and returns the refusal of what does not fit into its budget. in is
// nil where nothing was begun.
func (c *Client) overLimit(ctx context.Context, in *Intent, op Operation, p *Policy) error {
	c.count(op, journal.ReasonLimit)
	err := failure(ErrLimit, nil, "%s: the limit of %s is reached; nothing was sent; try again later, or raise Policy.Limit", op, p.Limit)
	c.tell(ctx, in, op, journal.ReasonLimit, err)
	return err
}

// reemitted answers an ID that stands for an intent begun under another one.
// done is false where the usual table decides: another payload, above all.
func (c *Client) reemitted(ctx context.Context, in *Intent, r, first *journal.Record, p *Policy) (err error, done bool) {
	if !c.samePayload(first, r, p) {
		return nil, false
	}
	c.clock.SeeRecord(first)
	in.record = first
	c.count(r.Operation, journal.ReasonReemitted)
	if p.Refuse {
		err := failure(ErrDuplicate, nil,
			"%s was asked for already, as %s, at %s; nothing was sent; an intended repeat says so with Operation.Repeat",
			r.Operation, describe(first), first.CreatedAt.UTC().Format(time.RFC3339))
		c.tell(ctx, in, r.Operation, journal.ReasonReemitted, err)
		return err, true
	}
	in.counted = true
	return nil, true
}

// outlived is Standing.outlived at this moment.
func (c *Client) outlived(r *journal.Record, p *Policy) bool {
	return lifecycle.PastRetention(r.Summary(), r.Terms, retentionUnder(r.Terms, p), p.Retry.withDefaults().AttemptTimeout, c.clock.Now())
}

// beginAgain answers a call whose claim lost against what happened since its intent was
// read: in becomes what Begin, asked now for the same, returns.
func (c *Client) beginAgain(ctx context.Context, in *Intent, conflict journal.Conflict, other *journal.Record, p *Policy) error {
	rec, _ := in.snapshot()
	if !rec.PrunedAt.IsZero() {
		return forgotten(rec)
	}
	payload, err := c.recordedPayload(rec, p)
	if err != nil {
		return fmt.Errorf("idem: %s: %w; nothing was sent", describe(rec), err)
	}
	r := &journal.Record{
		Operation: rec.Operation, Head: rec.Head, Payload: rec.Payload, Terms: termsOf(p, rec.Terms.Tool),
		Fingerprint: c.fingerprint(payload), FingerprintVersion: fingerprint.Version,
	}
	now := &Intent{client: c}
	done := false
	switch conflict {
	case journal.ConflictDuplicate:
		if err, done = c.reemitted(ctx, now, r, other, p); err != nil {
			return err
		}
	case journal.ConflictExhausted:
		r.Previous = rec.Key
	}
	if !done {
		if err := c.begin(ctx, now, r, nil, p); err != nil {
			return err
		}
	}
	in.become(now)
	return nil
}

// heldBack returns why Recover does not carry out an intent that a claim found to
// conflict with others.
func heldBack(rec *journal.Record, conflict journal.Conflict, other *journal.Record) error {
	kind, why := ErrMismatch, "has a successor"
	if conflict == journal.ConflictDuplicate {
		kind, why = ErrDuplicate, "is the same as"
	}
	key := rec.Key
	if other != nil {
		key = other.Key
	}
	return failure(kind, nil, "%s %s, key %s; nothing was sent", describe(rec), why, key)
}
