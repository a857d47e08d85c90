package idem

import (
	"context"
	"fmt"
	"time"

	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/internal/wire"
	"github.com/idem-go/idem/journal"
)

// run is one execution of an intent in this process. It works on a context of its
// own: callers come and go, each waiting under its own ctx, and what an attempt
// brings is recorded even if no caller waits any more.
type run struct {
	client *Client
	in     *Intent
	policy *Policy // the client's own, which nothing changes
	retry  Retry
	cancel context.CancelFunc // ends waits between attempts
	base   context.Context    // what the attempts work on: it has no end
	own    intentContext      // what base is at first
	done   chan struct{}

	// Guarded by client.mu.
	waiters int
	sending bool // an attempt was started: a caller that leaves now leaves it in doubt

	// The execution's own.
	record   *journal.Record
	st       journal.Summary   // where it stands, what is not written yet included
	tries    []journal.Attempt // not written yet
	before   journal.Summary   // as it was before the last attempt,
	at       time.Time         // which began then
	last     wire.Exchange     // and left this
	act      action            // what each attempt does
	next     *wire.Request     // what the first attempt writes
	began    int               // attempts of this run
	inFlight time.Time         // when the attempt began whose end is not in st yet; zero: there is none
	halted   bool              // stopped between attempts: no caller waits, or the client closes
	stop     bool              // the last attempt was the last that this run may make
	fault    error             // why it cannot go on

	recovering bool // Recover started this run

	fresh    bool              // the intent was begun here, and this run is the first to carry it out
	returned bool              // execute did, and did not panic
	writes   []journal.Attempt // what the last run of a tool's function wrote to the wire
	panicked any               // a tool function's panic, for one of the callers

	// The result, once done is closed.
	reply *journal.Reply
	whole journal.Reply // what reply points to, where it has more than the journal keeps
	again bool          // what is known changed: look again
	err   error

	conflict journal.Conflict // what a claim lost against, where again is set; else NoConflict
	other    *journal.Record  // and the intent that came with it
}

// carryOut executes what start made known.
func (r *run) carryOut(ctx context.Context, fresh bool) {
	defer r.client.work.Done()
	defer r.finish()
	r.fresh = fresh
	r.execute(ctx, fresh)
	r.returned = true
}

// execute finds out what the intent needs, does it, and records it.
func (r *run) execute(ctx context.Context, fresh bool) {
	c := r.client
	r.recovering = ctx.Value(recoverKey) != nil
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
	now := c.clock.Now()
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
	parked := lifecycle.Parked(r.st) && (r.recovering || r.began > 0 || !lifecycle.MayTryParked(r.st))
	return !parked &&
		lifecycle.MaySend(r.st, r.retention(), r.retry.AttemptTimeout, now)
}

// mayWrite returns a function that reports whether the attempt under way may still
// write its key: until the margin at the end of the retention. The process can be
// stopped for any time after attempt has looked at the clock. nil: the contract keeps
// no keys, so no time is too late.
func (r *run) mayWrite() func() bool {
	clock, st, retention := r.client.clock, r.st, r.retention()
	if retention <= 0 {
		return nil
	}
	return func() bool { return lifecycle.MaySend(st, retention, 0, clock.Now()) }
}

// lookAgain reads the intent anew: this process did not just begin it. It tells
// whether there is nothing left to do.
func (r *run) lookAgain() (done bool) {
	c := r.client
	if reply, err := c.saveOne(context.Background(), r.record.Key); err != nil {
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
	c.clock.SeeRecord(rec)
	r.record = rec
	if m := lifecycle.Decide(rec, false, true); (m != lifecycle.DecideClaim && m != lifecycle.DecideRun) || c.outlived(rec, r.policy) {
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
	case owner == journal.OwnedByDead:
		reason = "owner died"
	case owner == journal.OwnedBySelf && !r.fresh:
		// Ours by the journal, though no run here ended it and no caller here is about to
		// begin one: the last row of a run was not written, so that what it sent is not
		// known.
		owner, reason = journal.OwnedByDead, "unrecorded run"
	}
	r.st = lifecycle.Claim(before, owner, r.record.Terms, now)
	if !r.maySend(now) && r.policy.Reconcile == nil {
		if r.retention() > 0 {
			c.count(r.record.Operation, journal.ReasonExpired)
		} else {
			c.count(r.record.Operation, journal.ReasonInDoubt)
		}
		if before.State == InDoubt {
			r.err = c.inDoubt(r.record, errAsked)
			return true
		}
		return r.write(journal.MarkedInDoubt, lifecycle.MarkInDoubt(r.st), reason, "", nil)
	}
	return r.write(journal.Claimed, r.st, reason, "", nil)
}

// write appends a change. It tells whether the run is over: the change lost
// against another's, the journal failed, or the intent is in doubt now.
func (r *run) write(kind journal.ChangeKind, st journal.Summary, reason, note string, reply *journal.Reply) (done bool) {
	c := r.client
	st.Version = r.record.Summary().Version + 1
	next := withChange(r.record, &journal.Change{
		Key: r.record.Key, Kind: kind, Summary: st, At: c.clock.Now(),
		NewAttempts: r.tries, Reason: reason, Note: note, Reply: reply,
	})
	change := &next.Changes[len(next.Changes)-1]
	if kind == journal.Claimed {
		change.Checks = checksOf(r.policy, r.record.Operation, change.At)
	}
	// First what this process knows of the clock, so that no row is later than what
	// the next process takes for now.
	var conflict journal.Conflict
	var standing *journal.Record
	err := c.saveClock()
	if err == nil {
		conflict, standing, err = c.journal.Change(context.Background(), change)
	}
	switch {
	case err != nil:
		r.err = c.unrecorded(r.record, change, err)
		r.fault = err
		return true
	case conflict == journal.ConflictVersion && standing == nil:
		r.err = fmt.Errorf("idem: %s is no longer in the journal", describe(r.record))
		return true
	case conflict == journal.ConflictVersion:
		r.lost(change, standing)
		return true
	case conflict == journal.ConflictLimit:
		r.err = c.overLimit(context.WithoutCancel(r.base), r.in, r.record.Operation, r.policy)
		return true
	case conflict != journal.NoConflict: // each caller acts on it separately
		r.again, r.conflict, r.other = true, conflict, standing
		return true
	}
	r.st, r.tries, r.record = st, nil, next
	if kind == journal.MarkedInDoubt {
		r.err = c.inDoubt(r.record, r.cause())
		return true
	}
	return false
}

// withChange is a record with one more change, leaving the given one as it is.
func withChange(rec *journal.Record, change *journal.Change) *journal.Record {
	next := *rec
	next.Changes = append(rec.Changes[:len(rec.Changes):len(rec.Changes)], *change)
	switch change.Kind {
	case journal.Claimed, journal.AttemptStarted:
		next.Owner = journal.OwnedBySelf
	default:
		next.Owner = journal.Unowned
	}
	return &next
}

// lost is a change that another's stands in the way of: what stands is the truth,
// and what this run knows besides is an audit row.
func (r *run) lost(change *journal.Change, standing *journal.Record) {
	r.record, r.again = standing, true
	r.client.contradicted(change, standing)
}

// contradicted tells people of a success that came after the intent was settled
// otherwise.
func (c *Client) contradicted(change *journal.Change, standing *journal.Record) {
	if state := standing.Summary().State; change.State == Succeeded && state != Succeeded {
		c.alarm(standing, fmt.Sprintf("a reply proved success (%s) after the intent was recorded as %s", change.Reason, state))
	}
}

// cause is why nothing is settled.
func (r *run) cause() error {
	if r.last.Err != nil {
		return r.last.Err
	}
	return errAsked
}

// attempts sends until something is settled or nothing more may be sent.
func (r *run) attempts(ctx context.Context) {
	c := r.client
	var err error
	if r.act, err = r.action(); err != nil {
		r.fault = err
		return
	}
	if r.act.call != nil {
		err = retryTool(ctx, r.retry, r)
	} else {
		method, target := r.next.Target()
		err = retryHTTP(ctx, r.retry, method, target, r)
	}
	if err != nil { // ctx ended between two attempts
		r.halted = true
	}
	if r.last.Result == lifecycle.Done {
		c.budget.give(r.act.host)
	}
}

// action is what one attempt does: write a request, or call a tool's function.
type action struct {
	host string
	call func(ctx context.Context) wire.Exchange // a tool's function; nil: a request is written
}

func (r *run) action() (act action, err error) {
	if r.record.Terms.Tool {
		return r.toolAction()
	}
	if r.next, err = r.wireRequest(r.credentials()); err != nil {
		return action{}, err
	}
	return action{host: r.next.Host()}, nil
}

// do makes one attempt. The first one that writes a request takes what action made.
func (r *run) do(ctx context.Context) wire.Exchange {
	if r.act.call != nil {
		return r.act.call(ctx)
	}
	w := r.next
	if r.next = nil; w == nil {
		var err error
		if w, err = wire.NewRequest(r.record, r.credentials()); err != nil {
			return wire.Exchange{Evidence: lifecycle.Evidence{Result: lifecycle.NotSent, Reason: "not readable"}, Err: err}
		}
	}
	base := r.client.transport
	if live := r.in.live; live != nil && live.transport != nil {
		base = live.transport
	}
	options := r.client.sendOptions(w, r.policy, base, r.mayWrite())
	x, late := inTime(ctx, r.client.options.grace, func() wire.Exchange { return wire.Send(ctx, w, options) })
	if late == nil {
		return x
	}
	r.stop = true
	r.client.overdueAttempt(r.record, func() wire.Exchange {
		back := <-late
		if back.panicked != nil || back.exited {
			return wire.Exchange{Evidence: lifecycle.Evidence{Result: lifecycle.Unknown, Reason: "panic"}}
		}
		return back.out
	})
	return outlivedIts(r.retry.AttemptTimeout, r.client.options.grace, "the transport, Policy.Authorize or Contract.Verdict")
}

// credentials are those of the call that began the intent here, if one did.
func (r *run) credentials() wire.Secrets {
	if live := r.in.live; live != nil {
		return live.secrets
	}
	return wire.Secrets{}
}

// wireRequest is what the attempts send. The journal's text need not be read where
// this process wrote it a moment ago.
func (r *run) wireRequest(s wire.Secrets) (*wire.Request, error) {
	if live := r.in.live; live != nil && !live.head.IsZero() {
		h := live.head
		live.head = wire.Head{} // it is changed now, so it serves once; runs of one intent never overlap
		return h.Request(r.record, s)
	}
	return wire.NewRequest(r.record, s)
}

// attempt makes one attempt, if it still may, and reports whether to make another.
func (r *run) attempt(ctx context.Context) attempted {
	c := r.client
	r.client.mu.Lock()
	if r.waiters == 0 || c.closed {
		r.halted = true
		r.client.mu.Unlock()
		return attempted{}
	}
	r.sending = true
	r.client.mu.Unlock()

	now := c.clock.Now()
	if !r.maySend(now) { // the window closed while this call waited
		if r.began > 0 {
			r.advance(false)
		}
		return attempted{}
	}
	if err := c.saveClock(); err != nil { // a step of the clock, seen just now, outlives this process
		r.fault = err
		return attempted{}
	}
	if r.record.Terms.MarksAttempts && !r.mark(now) {
		return attempted{}
	}
	r.began++
	started := time.Now()
	number := r.st.Attempts + 1
	base := c.observeStart(r.base, r.in, number)
	attemptCtx, cancel := context.WithTimeout(workingFor(base, r.in), r.retry.AttemptTimeout)
	r.inFlight = now
	x := r.do(attemptCtx)
	cancel()
	r.before, r.at, r.last, r.inFlight = r.st, now, x, time.Time{}
	r.before.Attempts += max(0, len(r.writes)-1) // each write of a tool's function is one
	more := r.began < r.retry.MaxAttempts && !r.stop && !lifecycle.Parked(r.st) && x.Header.Get("Stripe-Should-Retry") != "false"
	move := r.advance(more)
	switch {
	case move != lifecycle.MoveRetry:
	case ctx.Err() != nil: // everybody has left, or the client closes: it is given back as open as it is
		move = r.advance(false)
		r.halted = move == lifecycle.MoveStop
	case !c.budget.take(r.act.host, x.Reason == "timeout"):
		move = r.advance(false)
	}
	r.tried(number, time.Since(started))
	c.observeEnd(base, r, number, started)
	done := attempted{status: x.Status}
	if move == lifecycle.MoveRetry {
		done.again, done.asked = true, wire.RetryAfter(x.Header, c.clock.Now())
	}
	return done
}

// advance is the move after the last attempt, if more tells that another one may
// follow it.
func (r *run) advance(more bool) lifecycle.Move {
	st, move := lifecycle.After(r.before, r.last.Evidence, r.at, r.retention() > 0, more)
	r.st = st
	return move
}

// mark makes durable that an attempt is about to be sent, for a provider that
// promises nothing: what was never marked was never sent.
func (r *run) mark(now time.Time) bool {
	clean := r.st
	if r.write(journal.AttemptStarted, lifecycle.StartAttempt(clean, now), "about to send", "", nil) {
		return false
	}
	r.st = clean
	return true
}
