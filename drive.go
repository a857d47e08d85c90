package idem

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/journal"
)

// maxLooks bounds how often one call looks again at an intent that changed under
// it. A sound journal never comes near it; one that loses what it acknowledged would
// keep a call busy for ever.
const maxLooks = 1000

var errNoProgress = errors.New("the journal answers otherwise each time it is asked: it does not keep what it acknowledges")

// drive executes an intent, or joins the run that does, and returns its outcome.
func (c *Client) drive(ctx context.Context, in *Intent) (*journal.Reply, error) {
	joined, looks := false, 0
	var polled time.Duration // since the intent of another process changed last
	first, _ := in.snapshot()
	p := c.policyOf(first)
	for {
		rec, _ := in.snapshot()
		if err := ctx.Err(); err != nil {
			return nil, c.gaveUp(rec, err)
		}
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return nil, failure(ErrClosed, nil, "%s: the client is closed; this call sent nothing", describe(rec))
		}
		var base context.Context // of what is carried out by this call; nil: somebody is at it
		var fresh bool
		r := c.runs[rec.Key]
		if r != nil {
			if worksFor(ctx, rec.Key) {
				c.mu.Unlock()
				return nil, c.waitsForItself(rec)
			}
			r.waiters++
			joined = true
		} else {
			m := lifecycle.Decide(rec, false, true)
			if m == lifecycle.DecideClaim && c.outlived(rec, p) {
				m = lifecycle.DecideReplay // the next Begin makes a new link
			}
			switch m {
			case lifecycle.DecideReplay:
				c.mu.Unlock()
				return c.replay(ctx, in, rec, joined)
			case lifecycle.DecidePruned, lifecycle.DecideSupersede:
				c.mu.Unlock()
				if rec.PrunedAt.IsZero() { // resolved as not done, for a later call to do
					return c.replay(ctx, in, rec, joined)
				}
				return nil, forgotten(rec)
			case lifecycle.DecideWait:
				c.mu.Unlock()
				if polled >= c.ownerLimit(p) {
					return nil, c.gaveUp(rec, errOwnerSilent)
				}
				if err := c.poll(ctx, in, rec); err != nil {
					return nil, err
				}
				polled += c.options.pollTime
				if now, _ := in.snapshot(); now.Summary().Version != rec.Summary().Version {
					polled = 0
				}
				joined = true
				continue
			}
			if c.overdue[rec.Key] > 0 {
				c.mu.Unlock()
				return nil, c.inDoubt(rec, errOverdue)
			}
			r, base, fresh = c.start(ctx, in, rec, p)
		}
		c.mu.Unlock()
		switch {
		case base == nil:
		case ctx.Done() == nil: // this caller cannot leave before it is done
			r.carryOut(base, fresh)
		default:
			go r.carryOut(base, fresh)
		}
		reply, again, err := c.await(ctx, r, in, joined)
		if !again {
			return reply, err
		}
		if r.conflict != journal.NoConflict && ctx.Value(recoverKey) != nil {
			return nil, heldBack(rec, r.conflict, r.other) // Recover begins nothing
		}
		if r.conflict != journal.NoConflict {
			if err := c.beginAgain(ctx, in, r.conflict, r.other, p); err != nil {
				return nil, err
			}
		}
		if looks++; looks == maxLooks {
			return nil, c.gaveUp(rec, errNoProgress)
		}
	}
}

var errOwnerSilent = errors.New("another process that lives has had the intent for longer than all of its attempts take: " +
	"look for a stopped process (state T in ps) that has the journal open, and continue or end it")

// ownerLimit returns how long another process that lives may have an intent without
// changing it: for all attempts of one call and the waits between them, for
// Policy.Reconcile, and for six graces more, which is half a minute by default.
func (c *Client) ownerLimit(p *Policy) time.Duration {
	r := p.Retry.withDefaults()
	attempts := time.Duration(r.MaxAttempts) * (r.AttemptTimeout + retryAfterFactor*r.MaxBackoff)
	return attempts + r.AttemptTimeout + 6*c.options.grace
}

// start makes an execution known, for carryOut. The context ends waits between its
// attempts; fresh tells that the intent was begun here and is as it was then.
// c.mu is held.
func (c *Client) start(ctx context.Context, in *Intent, rec *journal.Record, p *Policy) (r *run, base context.Context, fresh bool) {
	c.writes = true
	idle, fresh := c.idle[rec.Key]
	delete(c.idle, rec.Key)
	fresh = fresh && idle.version == rec.Summary().Version
	r = &run{client: c, in: in, policy: p, retry: p.Retry.withDefaults(), done: make(chan struct{}), waiters: 1, record: rec}
	// The caller's values, such as a trace, go along; its end does not.
	r.own = intentContext{context.WithoutCancel(ctx), in}
	r.base = &r.own
	ctx, r.cancel = context.WithCancel(r.base)
	c.runs[rec.Key] = r
	c.work.Add(1)
	return r, ctx, fresh
}

// waitsForItself is the error of a call that code makes which is called for the same
// intent: Policy.Authorize or Reconcile, a base transport, an Observer, a tool's function.
func (c *Client) waitsForItself(rec *journal.Record) error {
	err := fmt.Errorf("%s is being carried out by the code that asks for it, which would wait for itself: "+
		"do not begin or do an operation inside its own Authorize, Reconcile, transport or Observer", describe(rec))
	if lifecycle.MayHaveBeenSent(rec.Summary()) {
		return c.inDoubt(rec, err)
	}
	return fmt.Errorf("idem: %w; this call sent nothing", err)
}

// await waits for a run's result under the caller's own ctx.
func (c *Client) await(ctx context.Context, r *run, in *Intent, joined bool) (reply *journal.Reply, again bool, err error) {
	select {
	case <-r.done:
	case <-ctx.Done():
		if err := c.leave(ctx, r, in); err != nil {
			return nil, false, err
		}
	}
	in.learn(r.record, r.last.Stored)
	c.mu.Lock()
	panicked := r.panicked
	r.panicked = nil // one caller panics on, the others are told that it is in doubt
	c.mu.Unlock()
	if panicked != nil {
		panic(panicked)
	}
	if joined && !r.again && r.reply != nil && !in.counted {
		c.count(r.record.Operation, journal.ReasonCoalesced)
		c.tell(ctx, in, r.record.Operation, journal.ReasonCoalesced, r.err)
	}
	return r.reply, r.again, r.err
}

// leave is the error of a caller whose ctx ended while it waited for a run; nil: the
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
func (c *Client) poll(ctx context.Context, in *Intent, rec *journal.Record) error {
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
