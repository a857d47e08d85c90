package idem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// errAsked stands in an InDoubtError where no attempt of this call left an error.
var errAsked = errors.New("an earlier attempt may have had its effect, and it is not safe to send again")

var errOverdue = errors.New("its function outlived its time and still runs here")

// attempts sends until something is settled or nothing more may be sent.
func (r *run) attempts(ctx context.Context) {
	c := r.client
	act, err := r.action()
	if err != nil {
		r.fault = err
		return
	}
	again, asked := r.attempt(ctx, act)
	if again && tryAgain(ctx, r.retry, asked, func(ctx context.Context) (bool, time.Duration) { return r.attempt(ctx, act) }) != nil {
		r.halted = true
	}
	if r.last.finding == foundDone {
		c.budget.give(act.host)
	}
}

// action is what one attempt does: write a request, or call a tool's function.
type action struct {
	host string
	call func(ctx context.Context) exchange // a tool's function; nil: a request is written
}

func (r *run) action() (act action, err error) {
	if r.record.Terms.Tool {
		return r.toolAction()
	}
	if r.next, err = r.wireRequest(r.credentials()); err != nil {
		return action{}, err
	}
	return action{host: r.next.host()}, nil
}

// do makes one attempt. The first one that writes a request takes what action made.
func (r *run) do(ctx context.Context, act action) exchange {
	if act.call != nil {
		return act.call(ctx)
	}
	w := r.next
	if r.next = nil; w == nil {
		var err error
		if w, err = newWireRequest(r.record, r.credentials()); err != nil {
			return exchange{evidence: evidence{finding: foundNotSent, reason: "not readable"}, err: err}
		}
	}
	base := r.client.transport
	if live := r.in.live; live != nil && live.transport != nil {
		base = live.transport
	}
	return send(ctx, w, r.client.sendOptions(w, r.policy, base))
}

// credentials are those of the call that began the intent here, if one did.
func (r *run) credentials() secrets {
	if live := r.in.live; live != nil {
		return live.secrets
	}
	return secrets{}
}

// wireRequest is what the attempts send. The journal's text need not be read where
// this process wrote it a moment ago.
func (r *run) wireRequest(s secrets) (*wireRequest, error) {
	if live := r.in.live; live != nil && !live.head.isZero() {
		h := live.head
		live.head = head{} // it is changed now, so it serves once; runs of one intent never overlap
		return h.wire(r.record, s)
	}
	return newWireRequest(r.record, s)
}

// attempt makes one attempt, if it still may, and tells whether to make another.
func (r *run) attempt(ctx context.Context, act action) (again bool, asked time.Duration) {
	c := r.client
	r.client.mu.Lock()
	if r.waiters == 0 || c.closed {
		r.halted = true
		r.client.mu.Unlock()
		return false, 0
	}
	r.sending = true
	r.client.mu.Unlock()

	now := c.clock.now()
	if !r.maySend(now) { // the window closed while this call waited
		if r.began > 0 {
			r.advance(false)
		}
		return false, 0
	}
	if err := c.saveClock(); err != nil { // a step of the clock, seen just now, outlives this process
		r.fault = err
		return false, 0
	}
	if r.record.Terms.MarksAttempts && !r.mark(now) {
		return false, 0
	}
	r.began++
	started := time.Now()
	number := r.st.Attempts + 1
	base := c.observeStart(r.base, r.in, number)
	attemptCtx, cancel := context.WithTimeout(context.WithValue(base, frameKey, r.in), r.retry.AttemptTimeout)
	x := r.do(attemptCtx, act)
	cancel()
	r.before, r.at, r.last = r.st, now, x
	r.before.Attempts += max(0, len(r.writes)-1) // each write of a tool's function is one
	more := r.began < r.retry.MaxAttempts && !r.stop && x.full.Get("Stripe-Should-Retry") != "false"
	move := r.advance(more)
	switch {
	case move != moveAgain:
	case ctx.Err() != nil: // everybody has left, or the client closes: it is given back as open as it is
		move = r.advance(false)
		r.halted = move == moveStop
	case !c.budget.take(act.host, x.reason == "timeout"):
		move = r.advance(false)
	}
	r.tried(number, time.Since(started))
	c.observeEnd(base, r, number, started)
	if move != moveAgain {
		return false, 0
	}
	return true, retryAfter(x.full, c.clock.now())
}

// advance is the move after the last attempt, if more tells that another one may
// follow it.
func (r *run) advance(more bool) verdictMove {
	st, move := after(r.before, r.last.evidence, r.at, r.retention() > 0, more)
	r.st = st
	return move
}

// mark makes durable that an attempt is about to be sent, for a far side that
// promises nothing: what was never marked was never sent.
func (r *run) mark(now time.Time) bool {
	clean := r.st
	if r.write(AttemptStarted, startAttempt(clean, now), "about to send", "", nil) {
		return false
	}
	r.st = clean
	return true
}

// settle records where the run ended: settled, released, or in doubt.
func (r *run) settle(ctx context.Context) {
	c := r.client
	switch {
	case r.again || r.err != nil:
		return // fenced off, or the journal failed, in the middle
	case r.st.State == Succeeded || r.st.State == Failed:
		note := ""
		if r.record.Terms.Tool && r.last.err != nil {
			note = words(r.last.err) // the refusal's own words, for whoever asks again
		}
		r.outcome(Settled, note, r.last.reason)
		return
	case r.fault != nil:
		r.giveBack(r.fault)
		return
	case r.halted || !mayHaveReachedWire(r.st):
		r.giveBack(failure(ErrClosed, nil, "%s: the client was closed", describe(r.record)))
		return
	}
	if r.policy.Reconcile != nil && r.reconcile(ctx) {
		return
	}
	reason := r.last.reason
	if reason == "" {
		reason = "not safe to send again"
	}
	if r.last.finding == foundMismatch {
		c.alarm(r.record, "the far side has other bytes under this key: an earlier request of ours arrived that this journal does not hold")
	}
	r.write(MarkedInDoubt, markInDoubt(r.st), reason, "", nil)
}

// giveBack releases the intent as open as it is.
func (r *run) giveBack(cause error) {
	rec := r.record
	if r.write(Released, r.st, "released", "", nil) {
		return
	}
	r.client.mu.Lock()
	r.again = r.waiters > 0 && !r.client.closed && r.fault == nil // somebody came while it was being given up
	r.client.mu.Unlock()
	if mayHaveReachedWire(r.st) {
		r.err = r.client.inDoubt(r.record, cause)
	} else {
		r.err = fmt.Errorf("idem: %s: %w; nothing was sent", describe(rec), cause)
	}
}

// outcome records a final state, and makes it this run's answer.
func (r *run) outcome(kind ChangeKind, note, reason string) {
	c := r.client
	reply := r.last.reply
	if r.st.State == Failed && r.st.Failure == FailedNotSent {
		reply = nil
	}
	stored := r.last.stored
	if r.write(kind, r.st, reason, note, reply) {
		if r.fault != nil { // known, and not recorded: it is the answer all the same
			r.reply = r.live(reply)
		}
		return
	}
	if stored {
		c.count(r.record.Operation, reasonServerReplayed)
	}
	c.logSettled(r.record, r.st, reason)
	r.reply, r.err = outcomeOf(r.record)
	r.reply = r.live(r.reply)
	if r.reply == nil && r.last.err != nil {
		var own *because
		if errors.As(r.err, &own) {
			whole := *own // the error itself, for those who wait now
			whole.cause = r.last.err
			r.err = &whole
		}
	}
}

// live puts back, for those who wait now, the reply's headers that are not kept.
func (r *run) live(reply *Reply) *Reply {
	if reply == nil || r.last.full == nil {
		return reply
	}
	r.whole = *reply
	r.whole.Header = r.last.full
	return &r.whole
}

// reconcile asks the far side what happened. It tells whether that settled it.
func (r *run) reconcile(ctx context.Context) bool {
	r.in.learn(r.record, false)
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, frameKey, r.in), r.retry.AttemptTimeout)
	defer cancel()
	answer, err := r.policy.Reconcile(ctx, r.in)
	if err != nil {
		r.tries = append(r.tries, Attempt{Number: 0, At: r.client.clock.now(), Reason: "reconcile failed", Err: withoutURL(err).Error()})
		return false
	}
	st, ok := resolve(r.st, answer.State)
	if !ok {
		r.tries = append(r.tries, Attempt{Number: 0, At: r.client.clock.now(), Reason: "reconcile cannot tell", Err: answer.Note})
		return false
	}
	r.st = st
	r.last = exchange{evidence: evidence{reason: "reconciled"}, reply: resultReply(answer, r.record.Terms.Tool)}
	r.outcome(Resolved, answer.Note, "reconciled")
	return true
}

// resultReply is a Resolution's result as an outcome; nil: none was given.
func resultReply(answer Resolution, tool bool) *Reply {
	if answer.State != Succeeded || answer.Result == nil {
		return nil
	}
	reply := &Reply{Body: bytes.Clone(answer.Result), Size: int64(len(answer.Result))}
	if !tool {
		reply.Status, reply.Proto = http.StatusOK, "HTTP/1.1"
		reply.Header = http.Header{"Content-Type": {"application/json"}}
	}
	return reply
}

// unrecorded is what is said of a change that the journal would not take. The
// change is kept and tried again; until then nothing is sent under its key.
func (c *Client) unrecorded(rec *Record, change *Change, err error) error {
	if change.Kind == Claimed || change.Kind == AttemptStarted {
		return c.journalError(rec, "claim it", err) // nothing was sent under it
	}
	c.mu.Lock()
	c.unsaved[rec.Key] = unsavedChange{rec, change}
	c.mu.Unlock()
	if change.State == Succeeded || change.State == Failed {
		return failure(ErrUnrecorded, err,
			"%s %s, but the journal could not record that: %v; it is tried again with the next call and at Close; this process will not send it again",
			describe(rec), change.State, err)
	}
	if !mayHaveReachedWire(change.Summary) {
		return fmt.Errorf("idem: %s: the journal could not release it: %w; nothing was sent", describe(rec), err)
	}
	return c.inDoubt(withChange(rec, change), err)
}

// saveOne tries again to record what is known of an intent. Its error comes with
// the outcome, where that is what is known.
func (c *Client) saveOne(key string) (*Reply, error) {
	c.mu.Lock()
	known, ok := c.unsaved[key]
	c.mu.Unlock()
	if !ok {
		return nil, nil
	}
	standing, ok, err := c.journal.Change(context.Background(), known.change)
	if err != nil {
		return known.change.Reply, c.unrecorded(known.record, known.change, err)
	}
	c.mu.Lock()
	delete(c.unsaved, key)
	c.mu.Unlock()
	switch settled := known.change.State == Succeeded || known.change.State == Failed; {
	case ok && settled:
		c.logSettled(known.record, known.change.Summary, known.change.Reason)
	case !ok && standing != nil:
		c.contradicted(known.change, standing)
	}
	return nil, nil
}

// saveAll tries again to record everything that is known.
func (c *Client) saveAll() error {
	c.mu.Lock()
	keys := make([]string, 0, len(c.unsaved))
	for key := range c.unsaved {
		keys = append(keys, key)
	}
	c.mu.Unlock()
	var errs []error
	for _, key := range keys {
		_, err := c.saveOne(key)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// alarm is an audit row, and a line in the log, that a person should see.
func (c *Client) alarm(rec *Record, text string) {
	c.journal.Audit(context.Background(), AuditEntry{Key: rec.Key, At: c.clock.now(), Reason: "alarm", Text: text})
	if c.options.logger != nil {
		c.options.logger.Error("idem: "+text, "operation", rec.Operation.Name, "key", rec.Key)
	}
}
