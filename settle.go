package idem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/internal/wire"
	"github.com/idem-go/idem/journal"
)

// errAsked stands in an InDoubtError where no attempt of this call left an error.
var errAsked = errors.New("an earlier attempt may have had its effect, and it is not safe to send again")

var errOverdue = errors.New("an attempt outlived its time and still runs here")

// settle records where the run ended: settled, released, or in doubt.
func (r *run) settle(ctx context.Context) {
	c := r.client
	switch {
	case r.again || r.err != nil:
		return // fenced off, or the journal failed, in the middle
	case r.st.State == Succeeded || r.st.State == Failed:
		note := ""
		if r.record.Terms.Tool && r.last.Err != nil {
			note = words(r.last.Err) // the refusal's own words, for a caller that asks again
		}
		r.outcome(journal.Settled, note, r.last.Reason)
		return
	case r.fault != nil:
		r.giveBack(r.fault)
		return
	case r.halted || !lifecycle.MayHaveBeenSent(r.st):
		r.giveBack(failure(ErrClosed, nil, "%s: the client was closed", describe(r.record)))
		return
	}
	if r.policy.Reconcile != nil && r.reconcile(ctx) {
		return
	}
	reason := r.last.Reason
	if reason == "" {
		reason = "not safe to send again"
	}
	if r.last.Result == lifecycle.Mismatch {
		c.alarm(r.record, "the far side has other bytes under this key: an earlier request of ours arrived that this journal does not hold")
	}
	r.write(journal.MarkedInDoubt, lifecycle.MarkInDoubt(r.st), reason, "", nil)
}

// giveBack releases the intent as open as it is.
func (r *run) giveBack(cause error) {
	rec := r.record
	if r.write(journal.Released, r.st, "released", "", nil) {
		return
	}
	r.client.mu.Lock()
	r.again = r.waiters > 0 && !r.client.closed && r.fault == nil // somebody came while it was being given up
	r.client.mu.Unlock()
	if lifecycle.MayHaveBeenSent(r.st) {
		r.err = r.client.inDoubt(r.record, cause)
	} else {
		r.err = fmt.Errorf("idem: %s: %w; nothing was sent", describe(rec), cause)
	}
}

// outcome records a final state, and makes it this run's answer.
func (r *run) outcome(kind journal.ChangeKind, note, reason string) {
	c := r.client
	reply := r.last.Reply
	if r.st.State == Failed && r.st.Failure == journal.FailedNotSent {
		reply = nil
	}
	stored := r.last.Stored
	if r.write(kind, r.st, reason, note, reply) {
		if r.fault != nil { // known, and not recorded: it is the answer all the same
			r.reply = r.live(reply)
		}
		return
	}
	if stored {
		c.count(r.record.Operation, journal.ReasonServerReplayed)
	}
	c.logSettled(r.record, r.st, reason)
	r.reply, r.err = outcomeOf(r.record)
	r.reply = r.live(r.reply)
	if r.reply == nil && r.last.Err != nil {
		var own *because
		if errors.As(r.err, &own) {
			whole := *own // the error itself, for those who wait now
			whole.cause = r.last.Err
			r.err = &whole
		}
	}
}

// live puts back, for those who wait now, the reply's headers that are not kept.
func (r *run) live(reply *journal.Reply) *journal.Reply {
	if reply == nil || r.last.Header == nil {
		return reply
	}
	r.whole = *reply
	r.whole.Header = r.last.Header
	return &r.whole
}

// reconcile asks the provider what happened. It reports whether that settled it.
func (r *run) reconcile(ctx context.Context) bool {
	r.in.learn(r.record, false)
	ctx, cancel := context.WithTimeout(&intentContext{ctx, r.in}, r.retry.AttemptTimeout)
	defer cancel()
	type answered struct {
		Resolution
		err error
	}
	got, late := inTime(ctx, r.client.options.grace, func() answered {
		answer, err := r.policy.Reconcile(ctx, r.in)
		return answered{answer, err}
	})
	answer, err := got.Resolution, got.err
	if late != nil { // what it returns later is ignored
		err = fmt.Errorf("Policy.Reconcile did not return within %v and %v more", r.retry.AttemptTimeout, r.client.options.grace)
	}
	if err != nil {
		r.tries = append(r.tries, journal.Attempt{Number: 0, At: r.client.clock.Now(), Reason: "reconcile failed", Err: wire.WithoutURL(err).Error()})
		return false
	}
	if answer.Again {
		r.tries = append(r.tries, journal.Attempt{At: r.client.clock.Now(), Reason: "reconcile failed", Err: "Resolution.Again is for a person, not for Policy.Reconcile"})
		return false
	}
	st, ok := lifecycle.Resolve(r.st, answer.State)
	if !ok {
		r.tries = append(r.tries, journal.Attempt{Number: 0, At: r.client.clock.Now(), Reason: "reconcile cannot tell", Err: answer.Note})
		return false
	}
	r.st = st
	r.last = wire.Exchange{Evidence: lifecycle.Evidence{Reason: "reconciled"}, Reply: resultReply(answer, r.record.Terms.Tool)}
	r.outcome(journal.Resolved, answer.Note, "reconciled")
	return true
}

// resultReply is a Resolution's result as an outcome; nil: none was given.
func resultReply(answer Resolution, tool bool) *journal.Reply {
	if answer.State != Succeeded || answer.Result == nil {
		return nil
	}
	reply := &journal.Reply{Body: bytes.Clone(answer.Result), Size: int64(len(answer.Result))}
	if !tool {
		reply.Status, reply.Proto = http.StatusOK, "HTTP/1.1"
		reply.Header = http.Header{"Content-Type": {"application/json"}}
	}
	return reply
}

// unrecorded is what is said of a change that the journal would not take. The
// change is kept and tried again; until then nothing is sent under its key.
func (c *Client) unrecorded(rec *journal.Record, change *journal.Change, err error) error {
	if change.Kind == journal.Claimed || change.Kind == journal.AttemptStarted {
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
	if !lifecycle.MayHaveBeenSent(change.Summary) {
		return fmt.Errorf("idem: %s: the journal could not release it: %w; nothing was sent", describe(rec), err)
	}
	return c.inDoubt(withChange(rec, change), err)
}

// saveOne tries again to record what is known of an intent. Its error comes with
// the outcome, where that is what is known.
func (c *Client) saveOne(ctx context.Context, key string) (*journal.Reply, error) {
	c.mu.Lock()
	known, ok := c.unsaved[key]
	c.mu.Unlock()
	if !ok {
		return nil, nil
	}
	conflict, standing, err := c.journal.Change(ctx, known.change)
	if err != nil {
		return known.change.Reply, c.unrecorded(known.record, known.change, err)
	}
	c.mu.Lock()
	delete(c.unsaved, key)
	c.mu.Unlock()
	switch settled := known.change.State == Succeeded || known.change.State == Failed; {
	case conflict == journal.NoConflict && settled:
		c.logSettled(known.record, known.change.Summary, known.change.Reason)
	case conflict != journal.NoConflict && standing != nil:
		c.contradicted(known.change, standing)
	}
	return nil, nil
}

// saveAll tries again to record everything that is known, until ctx ends.
func (c *Client) saveAll(ctx context.Context) error {
	c.mu.Lock()
	keys := make([]string, 0, len(c.unsaved))
	for key := range c.unsaved {
		keys = append(keys, key)
	}
	c.mu.Unlock()
	var errs []error
	for _, key := range keys {
		_, err := c.saveOne(ctx, key)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// alarm is an audit row, and a line in the log, that a person should see.
func (c *Client) alarm(rec *journal.Record, text string) {
	c.journal.Audit(context.Background(), journal.AuditEntry{Key: rec.Key, At: c.clock.Now(), Reason: "alarm", Text: text})
	if c.options.logger != nil {
		c.options.logger.Error("idem: "+text, "operation", rec.Operation.Name, "key", rec.Key)
	}
}
