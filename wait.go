package idem

import (
	"context"
	"fmt"
	"time"
)

// await waits for a run's result under the caller's own ctx.
func (c *Client) await(ctx context.Context, r *run, in *Intent, joined bool) (reply *Reply, again bool, err error) {
	select {
	case <-r.done:
	case <-ctx.Done():
		if err := c.leave(ctx, r, in); err != nil {
			return nil, false, err
		}
	}
	in.learn(r.record, r.last.stored)
	c.mu.Lock()
	panicked := r.panicked
	r.panicked = nil // one caller panics on, the others are told that it is in doubt
	c.mu.Unlock()
	if panicked != nil {
		panic(panicked)
	}
	if joined && !r.again && r.reply != nil && !in.counted {
		c.count(r.record.Operation, reasonCoalesced)
		c.tell(ctx, in, r.record.Operation, reasonCoalesced, r.err)
	}
	return r.reply, r.again, r.err
}

// leave is what a caller is told whose ctx ended while it waited for a run; nil: the
// run ended in the same moment, and what it brought is the answer.
func (c *Client) leave(ctx context.Context, r *run, in *Intent) error {
	c.mu.Lock()
	select {
	case <-r.done:
		c.mu.Unlock()
		return nil
	default:
	}
	r.waiters--
	alone, sending := r.waiters == 0, r.sending
	if alone {
		r.cancel()
	}
	c.mu.Unlock()
	rec, _ := in.snapshot()
	if alone && !sending {
		return c.gaveUp(rec, ctx.Err())
	}
	return c.inDoubt(rec, ctx.Err())
}

// poll looks again, after a while, at an intent that a live other process has.
func (c *Client) poll(ctx context.Context, in *Intent, rec *Record) error {
	timer := time.NewTimer(c.options.pollTime)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return c.gaveUp(rec, ctx.Err())
	case <-c.stopped.Done():
		return failure(ErrClosed, nil, "%s: the client was closed while another process has it; this call sent nothing", describe(rec))
	case <-timer.C:
	}
	if !c.enter() {
		return isClosed(rec.Operation.String())
	}
	defer c.work.Done()
	now, err := c.journal.Get(ctx, rec.Key)
	if err != nil {
		return c.journalError(rec, "read", err)
	}
	if now == nil {
		return fmt.Errorf("idem: %s is no longer in the journal", describe(rec))
	}
	in.learn(now, false)
	return nil
}

// gaveUp is what a caller is told whose ctx ended before this call sent anything.
func (c *Client) gaveUp(rec *Record, cause error) error {
	st := rec.Summary()
	if st.State == InDoubt || (st.State == Pending && !firstSent(rec).IsZero()) {
		return c.inDoubt(rec, cause)
	}
	return fmt.Errorf("idem: %s: %w; nothing was sent", describe(rec), cause)
}

func (c *Client) inDoubt(rec *Record, cause error) error {
	st := rec.Summary()
	return &InDoubtError{
		Key: rec.Key, Operation: rec.Operation, Attempts: st.Attempts,
		SafeUntil: safeUntil(st, c.retentionOf(rec), c.retryOf(rec).AttemptTimeout), Err: cause,
	}
}

// replay hands out a recorded outcome.
func (c *Client) replay(ctx context.Context, in *Intent, rec *Record, joined bool) (*Reply, error) {
	in.learn(rec, true)
	reply, err := outcomeOf(rec)
	reason := reasonReplayed
	switch {
	case in.counted:
		reason = reasonReemitted
	case joined:
		reason = reasonCoalesced
	}
	if !in.counted {
		c.count(rec.Operation, reason)
	}
	c.tell(ctx, in, rec.Operation, reason, err)
	return reply, err
}

// outcomeOf is what a settled intent's callers are told.
func outcomeOf(rec *Record) (*Reply, error) {
	st, reply := rec.Summary(), rec.reply()
	last := rec.Changes[len(rec.Changes)-1]
	why := last.Reason
	if last.Note != "" {
		why += ": " + last.Note
	}
	switch {
	case st.State == Failed && reply == nil && st.Failure == FailedNotSent:
		return nil, failure(ErrNotSent, nil, "%s was never sent (%s); the same call may be made again", describe(rec), why)
	case st.State == Failed && reply == nil:
		return nil, &because{
			text: fmt.Sprintf("idem: %s did not happen (%s); mend the payload or use another ID", describe(rec), why),
			kind: ErrRefused, said: last.Note,
		}
	case reply == nil:
		return nil, failure(ErrForgotten, nil, "%s succeeded, but there is no result to hand out (%s)", describe(rec), why)
	case reply.truncated():
		return reply, failure(ErrOutcomeTruncated, nil,
			"%s succeeded, but its reply has %d bytes, over the limit, and only its length and hash %x are kept; raise the limit with WithMaxReply",
			describe(rec), reply.Size, reply.Hash)
	}
	return reply, nil
}
