package idem

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// enter keeps the journal open while the caller uses it; false: the client is
// closed. Every enter that is true is followed by c.work.Done.
func (c *Client) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.work.Add(1)
	}
	return !c.closed
}

// isClosed is what whoever could not enter is told.
func isClosed(what string) error {
	return failure(ErrClosed, nil, "%s: the client is closed; nothing was sent", what)
}

// begin gives r a key and inserts it, or finds the intent that stands in its way. h
// makes r's head, once it is needed; a tool's record has its own. in is made that of
// what was inserted or found, where there is no error.
func (c *Client) begin(ctx context.Context, in *Intent, r *Record, h *head, p *Policy) error {
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
		r.Head = h.encode()
		if _, err := newWireRequest(r, secrets{}); err != nil { // the body has no such place
			return fmt.Errorf("idem: %s: contract %q: %w; nothing was sent", r.Operation, p.Contract.Name, err)
		}
	}
	if err := c.saveClock(); err != nil {
		return c.journalError(r, "begin", err)
	}
	if r.Head == nil {
		r.Head = h.encode()
	}
	// Before others can find it: whoever does, and runs it first, takes this note with
	// it, so that the caller here does not take it for one that nobody ran.
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
		r.CreatedAt = c.clock.now()
		obstacle, standing, err := c.journal.Begin(ctx, r, guardsOf(p, r))
		if err != nil {
			return c.journalError(r, "begin", err)
		}
		switch obstacle {
		case ConflictLimit:
			c.count(r.Operation, reasonLimit)
			err := failure(ErrLimit, nil, "%s: the limit of %s is reached; nothing was sent; try again later, or raise Policy.Limit",
				r.Operation, p.Limit)
			c.tell(ctx, nil, r.Operation, reasonLimit, err)
			return err
		case ConflictDuplicate:
			if err, done := c.reemitted(ctx, in, r, standing, p); done {
				return err
			}
		}
		if obstacle == NoConflict {
			inserted = true
			r.Owner = OwnedBySelf
			in.record = r
			return nil
		}
		c.clock.saw(standing)
		in.record = standing
		m := meet(standing, c.running(standing.Key), c.samePayload(standing, r, p))
		if m == meetClaim && c.outlived(standing, p) {
			m = meetNewLink
		}
		switch m {
		case meetMismatch:
			c.count(standing.Operation, reasonMismatch)
			err := failure(ErrMismatch, nil,
				"%s was begun with another payload: it differs in %s; it is %s and keeps its own payload; use another ID for another thing, or Operation.Repeat; nothing was sent",
				describe(standing), c.difference(standing, r, p), standing.Summary().State)
			c.tell(ctx, in, standing.Operation, reasonMismatch, err)
			return err
		case meetNewLink:
			r.Previous = standing.Key
			continue
		case meetForgot:
			return forgotten(standing)
		}
		return nil
	}
}

// beginKnown begins what is settled and at hand: the journal would say the same, and
// hand out a copy.
func (c *Client) beginKnown(in *Intent, standing *Record) error {
	c.mu.Lock()
	c.writes = true // or would: what it sees of the clock is made durable too
	c.mu.Unlock()
	if err := c.saveClock(); err != nil {
		return c.journalError(standing, "begin", err)
	}
	c.clock.saw(standing)
	in.record = standing
	return nil
}

// guardsOf is what a policy has Begin check. An intended repeat is never taken for
// a re-emission.
func guardsOf(p *Policy, r *Record) Checks {
	g := Checks{Limit: p.Limit, Alias: !p.Refuse}
	if p.Window > 0 && r.Operation.Repeat == 0 {
		g.DuplicatesSince = r.CreatedAt.Add(-p.Window)
	}
	if g.Limit != (Limit{}) {
		g.LimitSince = r.CreatedAt.Add(-p.Limit.Per)
	}
	return g
}

// reemitted answers an ID that stands for an intent begun under another one.
// done is false where the usual table decides: another payload, above all.
func (c *Client) reemitted(ctx context.Context, in *Intent, r, first *Record, p *Policy) (err error, done bool) {
	if !c.samePayload(first, r, p) {
		return nil, false
	}
	c.clock.saw(first)
	in.record = first
	c.count(r.Operation, reasonReemitted)
	if p.Refuse {
		err := failure(ErrDuplicate, nil,
			"%s was asked for already, as %s, at %s; nothing was sent; an intended repeat says so with Operation.Repeat",
			r.Operation, describe(first), first.CreatedAt.UTC().Format(time.RFC3339))
		c.tell(ctx, in, r.Operation, reasonReemitted, err)
		return err, true
	}
	in.counted = true
	return nil, true
}

// outlived is Standing.outlived at this moment.
func (c *Client) outlived(r *Record, p *Policy) bool {
	return pastRetention(r.Summary(), r.Terms, retentionUnder(r.Terms, p), p.Retry.withDefaults().AttemptTimeout, c.clock.now())
}

func forgotten(r *Record) error {
	return failure(ErrForgotten, nil, "%s %s before %s and its outcome is no longer kept; nothing was sent; use another ID for another thing",
		describe(r), r.Summary().State, r.PrunedAt.UTC().Format(time.RFC3339))
}

func (c *Client) running(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runs[key] != nil
}

// samePayload compares fingerprints. Where they differ, the journaled bytes are
// fingerprinted again: the rules, or Policy.Ignore, may have changed since.
func (c *Client) samePayload(recorded, asked *Record, p *Policy) bool {
	if recorded.Fingerprint == asked.Fingerprint {
		return true
	}
	if !recorded.PrunedAt.IsZero() || recorded.Terms.Tool != asked.Terms.Tool {
		return false
	}
	again, err := c.recordedPayload(recorded, p)
	return err == nil && c.fingerprint(again) == asked.Fingerprint
}

// recordedPayload is what a record's fingerprint covers, under today's policy and,
// for a tool, today's type of its input.
func (c *Client) recordedPayload(r *Record, p *Policy) (payload, error) {
	if r.Terms.Tool {
		input := r.Payload
		if e := c.tool(r.Operation.Name); e != nil {
			if again, err := e.decodeAgain(input); err == nil {
				input = again
			}
		}
		return toolPayload(r.Operation.Name, input, p), nil
	}
	h, err := decodeHead(r.Head)
	if err != nil {
		return payload{}, err
	}
	return h.fingerprinted(r.Payload, p.Contract.place(), p.Ignore), nil
}

// fingerprint is what the journal keeps of a payload's identity.
// With encryption it is keyed, so that a guess cannot be checked against it.
func (c *Client) fingerprint(p payload) [32]byte {
	if c.mac == nil {
		return p.fingerprint()
	}
	print := p.fingerprint()
	h := hmac.New(sha256.New, c.mac)
	h.Write(print[:])
	return [32]byte(h.Sum(nil))
}

// toolPayload is what a tool call's fingerprint covers.
func toolPayload(name string, input []byte, p *Policy) payload {
	return payload{method: "tool", host: name, contentType: "application/json", body: input, ignore: p.Ignore}
}

func (c *Client) difference(recorded, asked *Record, p *Policy) string {
	if !recorded.PrunedAt.IsZero() {
		return "a field that can no longer be named, since the payload was pruned"
	}
	a, errA := c.recordedPayload(recorded, p)
	b, errB := c.recordedPayload(asked, p)
	if errA != nil || errB != nil {
		return "the request"
	}
	return differ(a, b)
}

// journalError says what a journal that fails means for the caller.
func (c *Client) journalError(r *Record, doing string, err error) error {
	switch {
	case errors.Is(err, ErrMaybeRecorded):
		return failure(ErrMaybeRecorded, err,
			"%s: the journal failed half-way, so the intent may be recorded: %v; nothing was sent; begin again under the same ID only",
			describe(r), err)
	case errors.Is(err, ErrClosed):
		return failure(ErrClosed, err, "%s: the client is closed; nothing was sent", r.Operation)
	}
	return fmt.Errorf("idem: %s: the journal could not %s: %w; nothing was sent", describe(r), doing, err)
}
