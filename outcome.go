package idem

import (
	"context"
	"fmt"
	"time"

	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/journal"
)

// gaveUp is the error of a caller whose ctx ended before this call sent anything.
func (c *Client) gaveUp(rec *journal.Record, cause error) error {
	st := rec.Summary()
	if st.State == InDoubt || (st.State == Pending && !lifecycle.FirstSent(rec).IsZero()) {
		return c.inDoubt(rec, cause)
	}
	return fmt.Errorf("idem: %s: %w; nothing was sent", describe(rec), cause)
}

func (c *Client) inDoubt(rec *journal.Record, cause error) error {
	st := rec.Summary()
	e := &InDoubtError{Key: rec.Key, Operation: rec.Operation, Attempts: st.Attempts, SafeUntil: c.safeUntil(rec), Err: cause}
	if lifecycle.Parked(st) {
		e.deaths = st.Takeovers
		e.again = lifecycle.MayTryParked(st) && lifecycle.MaySend(st, c.retentionOf(rec), c.retryOf(rec).AttemptTimeout, c.clock.Now())
		if cause == errAsked && e.again {
			e.Err = nil // it is safe to send again, and parked all the same
		}
	}
	return e
}

// safeUntil returns the time until which Recover may send an intent again. It is zero
// if the intent's contract keeps no keys, or if the intent is parked.
func (c *Client) safeUntil(rec *journal.Record) time.Time {
	st := rec.Summary()
	if lifecycle.Parked(st) {
		return time.Time{}
	}
	return lifecycle.SafeUntil(st, c.retentionOf(rec), c.retryOf(rec).AttemptTimeout)
}

// replay hands out a recorded outcome.
func (c *Client) replay(ctx context.Context, in *Intent, rec *journal.Record, joined bool) (*journal.Reply, error) {
	in.learn(rec, true)
	reply, err := outcomeOf(rec)
	reason := journal.ReasonReplayed
	switch {
	case in.counted:
		reason = journal.ReasonReemitted
	case joined:
		reason = journal.ReasonCoalesced
	}
	if !in.counted {
		c.count(rec.Operation, reason)
	}
	c.tell(ctx, in, rec.Operation, reason, err)
	return reply, err
}

// outcomeOf is what a settled intent's callers are told.
func outcomeOf(rec *journal.Record) (*journal.Reply, error) {
	st, reply := rec.Summary(), rec.Reply()
	last := rec.Changes[len(rec.Changes)-1]
	why := last.Reason
	if last.Note != "" {
		why += ": " + last.Note
	}
	switch {
	case st.State == Failed && reply == nil && st.Failure == journal.FailedNotSent:
		return nil, failure(ErrNotSent, nil, "%s was never sent (%s); the same call may be made again", describe(rec), why)
	case st.Failure == journal.FailedAgain:
		return nil, failure(ErrRefused, nil, "%s did not happen (%s); begin it again, which sends it under a new key", describe(rec), why)
	case st.State == Failed && reply == nil:
		return nil, &because{
			text: fmt.Sprintf("idem: %s did not happen (%s); correct the payload, or use another ID or Operation.Repeat", describe(rec), why),
			kind: ErrRefused, said: last.Note,
		}
	case reply == nil:
		return nil, failure(ErrForgotten, nil, "%s succeeded, but there is no result to hand out (%s)", describe(rec), why)
	case reply.Truncated():
		return reply, failure(ErrOutcomeTruncated, nil,
			"%s succeeded, but its reply has %d bytes, over the limit, and only its length and hash %x are kept; raise the limit with WithMaxReply",
			describe(rec), reply.Size, reply.Hash)
	}
	return reply, nil
}
