package idem

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// run is one execution of an intent in this process. It works on a context of its
// own: callers come and go, each waiting under its own ctx, and what an attempt
// brings is recorded even when nobody waits any more.
type run struct {
	client *Client
	in     *Intent
	policy *Policy // the client's own, which nothing changes
	retry  Retry
	cancel context.CancelFunc // ends waits between attempts
	base   context.Context    // what the attempts work on: it has no end
	done   chan struct{}

	// Guarded by client.mu.
	waiters int
	sending bool // an attempt was begun: whoever leaves now leaves it in doubt

	// The execution's own.
	record *Record
	st     Summary      // where it stands, what is not written yet included
	tries  []Attempt    // not written yet
	before Summary      // as it was before the last attempt,
	at     time.Time    // which began then
	last   exchange     // and left this
	next   *wireRequest // what the first attempt writes
	began  int          // attempts of this run
	halted bool         // stopped between attempts: nobody waits, or the client closes
	stop   bool         // the last attempt was the last that this run may make
	fault  error        // why it cannot go on

	returned bool      // execute did, and did not panic
	writes   []Attempt // what the last run of a tool's function wrote to the wire
	panicked any       // a tool function's panic, for one of the callers

	// The result, once done is closed.
	reply *Reply
	whole Reply // what reply points to, where it has more than the journal keeps
	again bool  // what is known changed: look again
	err   error
}

// maxLooks bounds how often one call looks again at an intent that changed under
// it. A sound journal never comes near it; one that loses what it acknowledged would
// keep a call busy for ever.
const maxLooks = 1000

var errNoProgress = errors.New("the journal answers otherwise each time it is asked: it does not keep what it acknowledges")

// drive carries an intent out, or joins whoever does, and returns its outcome.
func (c *Client) drive(ctx context.Context, in *Intent) (*Reply, error) {
	joined, looks := false, 0
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
			r.waiters++
			joined = true
		} else {
			m := meet(rec, false, true)
			if m == meetClaim && c.outlived(rec, p) {
				m = meetReplay // the next Begin makes a new link
			}
			switch m {
			case meetReplay:
				c.mu.Unlock()
				return c.replay(ctx, in, rec, joined)
			case meetForgot, meetNewLink:
				c.mu.Unlock()
				return nil, forgotten(rec)
			case meetWait:
				c.mu.Unlock()
				if err := c.poll(ctx, in, rec); err != nil {
					return nil, err
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
		if looks++; looks == maxLooks {
			return nil, c.gaveUp(rec, errNoProgress)
		}
	}
}

// start makes an execution known, for carryOut. The context ends waits between its
// attempts; fresh tells that the intent was begun here and is as it was then.
// c.mu is held.
func (c *Client) start(ctx context.Context, in *Intent, rec *Record, p *Policy) (r *run, base context.Context, fresh bool) {
	c.writes = true
	idle, fresh := c.idle[rec.Key]
	delete(c.idle, rec.Key)
	fresh = fresh && idle.version == rec.Summary().Version
	r = &run{client: c, in: in, policy: p, retry: p.Retry.withDefaults(), done: make(chan struct{}), waiters: 1, record: rec}
	// The caller's values, such as a trace, go along; its end does not.
	r.base = context.WithoutCancel(ctx)
	ctx, r.cancel = context.WithCancel(r.base)
	c.runs[rec.Key] = r
	c.work.Add(1)
	return r, ctx, fresh
}

// carryOut executes what start made known.
func (r *run) carryOut(ctx context.Context, fresh bool) {
	defer r.client.work.Done()
	defer r.finish()
	r.execute(ctx, fresh)
	r.returned = true
}

// finish ends a run. A panic of the user's own code (Policy.Authorize, Reconcile, a
// contract's function, an Observer) goes on to the caller who started it, and leaves
// the intent as one whose owner died: nothing is known of what was sent.
func (r *run) finish() {
	if v := recover(); v != nil {
		r.panicked, r.reply, r.again = v, nil, false
		r.err = r.client.inDoubt(r.record, fmt.Errorf("the program panicked: %v", v))
	} else if !r.returned { // runtime.Goexit, such as a test's FailNow
		r.reply, r.again = nil, false
		r.err = r.client.inDoubt(r.record, errors.New("the program ended the goroutine that carried it out"))
	}
	r.cancel()
	r.client.mu.Lock()
	delete(r.client.runs, r.record.Key)
	r.client.mu.Unlock()
	close(r.done)
}

// execute finds out what the intent needs, does it, and records it.
func (r *run) execute(ctx context.Context, fresh bool) {
	c := r.client
	if !fresh {
		if done := r.lookAgain(); done {
			return
		}
	}
	r.st = r.record.Summary()
	started := time.Now()
	if c.options.observer != nil {
		ctx = c.observeStart(ctx, r.in, 0)
		r.base = context.WithoutCancel(ctx)
		defer func() { c.observeEnd(ctx, r, 0, started) }()
	}
	if !fresh {
		if r.err = c.checkTool(r.record); r.err != nil {
			return
		}
	}
	now := c.clock.now()
	if !fresh || !r.maySend(now) {
		if done := r.claim(now); done {
			return
		}
	}
	if r.maySend(now) {
		r.attempts(ctx)
	}
	r.settle(ctx)
}

func (r *run) retention() time.Duration { return retentionUnder(r.record.Terms, r.policy) }

func (r *run) maySend(now time.Time) bool {
	return !parked(r.st) &&
		maySend(r.st, r.retention(), r.retry.AttemptTimeout, now)
}

// lookAgain reads the intent anew: this process did not just begin it. It tells
// whether there is nothing left to do.
func (r *run) lookAgain() (done bool) {
	c := r.client
	if reply, err := c.saveOne(r.record.Key); err != nil {
		r.reply, r.err = reply, err
		return true
	}
	if err := c.readClock(); err != nil {
		r.err = c.journalError(r.record, "read", err)
		return true
	}
	rec, err := c.journal.Get(context.Background(), r.record.Key)
	if err != nil {
		r.err = c.journalError(r.record, "read", err)
		return true
	}
	if rec == nil {
		r.err = fmt.Errorf("idem: %s is no longer in the journal", describe(r.record))
		return true
	}
	c.clock.saw(rec)
	r.record = rec
	if m := meet(rec, false, true); (m != meetClaim && m != meetRun) || c.outlived(rec, r.policy) {
		r.again = true // settled, or another's: the caller acts on what was read
		return true
	}
	return false
}

// claim makes the intent this process's own by writing, before anything that was
// read is acted on. It tells whether there is nothing left to do.
func (r *run) claim(now time.Time) (done bool) {
	c := r.client
	before := r.st
	owner := r.record.Owner
	reason := "claimed"
	switch {
	case owner == OwnedByDead:
		reason = "owner died"
	case owner == OwnedBySelf && r.record.Summary().Version > 0:
		// Ours by the journal, though no run here ended it: its last row was not
		// written, so nothing is known of what that run did.
		owner, reason = OwnedByDead, "unrecorded run"
	}
	r.st = claim(before, owner, r.record.Terms, now)
	if !r.maySend(now) && r.policy.Reconcile == nil {
		if r.retention() > 0 {
			c.count(r.record.Operation, reasonExpired)
		} else {
			c.count(r.record.Operation, reasonInDoubt)
		}
		if before.State == InDoubt {
			r.err = c.inDoubt(r.record, errAsked)
			return true
		}
		return r.write(MarkedInDoubt, markInDoubt(r.st), reason, "", nil)
	}
	return r.write(Claimed, r.st, reason, "", nil)
}

// write appends a change. It tells whether the run is over: the change lost
// against another's, the journal failed, or the intent is in doubt now.
func (r *run) write(kind ChangeKind, st Summary, reason, note string, reply *Reply) (done bool) {
	c := r.client
	st.Version = r.record.Summary().Version + 1
	next := withChange(r.record, &Change{
		Key: r.record.Key, Kind: kind, Summary: st, At: c.clock.now(),
		NewAttempts: r.tries, Reason: reason, Note: note, Reply: reply,
	})
	change := &next.Changes[len(next.Changes)-1]
	// First what this process knows of the clock, so that no row is later than what
	// the next process takes for now.
	var standing *Record
	var ok bool
	err := c.saveClock()
	if err == nil {
		standing, ok, err = c.journal.Change(context.Background(), change)
	}
	switch {
	case err != nil:
		r.err = c.unrecorded(r.record, change, err)
		r.fault = err
		return true
	case !ok && standing == nil:
		r.err = fmt.Errorf("idem: %s is no longer in the journal", describe(r.record))
		return true
	case !ok:
		r.lost(change, standing)
		return true
	}
	r.st, r.tries, r.record = st, nil, next
	if kind == MarkedInDoubt {
		r.err = c.inDoubt(r.record, r.cause())
		return true
	}
	return false
}

// withChange is a record with one more change, leaving the given one as it is.
func withChange(rec *Record, change *Change) *Record {
	next := *rec
	next.Changes = append(rec.Changes[:len(rec.Changes):len(rec.Changes)], *change)
	switch change.Kind {
	case Claimed, AttemptStarted:
		next.Owner = OwnedBySelf
	default:
		next.Owner = Unowned
	}
	return &next
}

// lost is a change that another's stands in the way of: what stands is the truth,
// and what this run knows besides is an audit row.
func (r *run) lost(change *Change, standing *Record) {
	r.record, r.again = standing, true
	r.client.contradicted(change, standing)
}

// contradicted tells people of a success that came after the intent was settled
// otherwise.
func (c *Client) contradicted(change *Change, standing *Record) {
	if state := standing.Summary().State; change.State == Succeeded && state != Succeeded {
		c.alarm(standing, fmt.Sprintf("a reply proved success (%s) after the intent was recorded as %s", change.Reason, state))
	}
}

// cause is why nothing is settled.
func (r *run) cause() error {
	if r.last.err != nil {
		return r.last.err
	}
	return errAsked
}
