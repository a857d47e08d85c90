package idem

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// defaultGrace is what a tool function gets beyond its AttemptTimeout to notice
// that its context ended.
const defaultGrace = 5 * time.Second

// toolCall is one run of a tool's function, with what it wrote to the wire.
type toolCall struct {
	in     *Intent
	parent *toolCall       // whose function made this call; nil: none
	ctx    context.Context // ends with the run's time

	mu      sync.Mutex
	over    bool      // the function returned, or was given up
	maybe   bool      // a write had its effect, or may have had it
	refused finding   // how the last write was refused; 0: none was
	stored  bool      // the write's reply was a stored one
	tries   []Attempt // the writes under the tool's own key
	done    *exchange // what the tool's own write succeeded with
}

// saw takes the evidence of a write that was made inside the function.
func (t *toolCall) saw(f finding) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch f {
	case foundNotSent:
	case foundRefused, foundNotNow, foundLater:
		t.refused = f
	default:
		t.maybe = true
	}
}

// wrote takes a write under the tool's own key, which is an attempt of its intent.
func (t *toolCall) wrote(x *exchange, at time.Time, took time.Duration) {
	t.saw(x.finding)
	try := Attempt{At: at, Took: took, Status: x.status, Reason: x.reason}
	if x.err != nil {
		try.Err = x.err.Error()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tries = append(t.tries, try)
	if x.finding == foundDone {
		t.done, t.stored = x, x.stored
	}
}

// standing is what the writes so far leave.
func (t *toolCall) standing() (done *exchange, maybe, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.done, t.maybe, t.over || t.ctx.Err() != nil
}

// end forbids further writes under the tool's key, and returns those made.
func (t *toolCall) end() []Attempt {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	return t.tries
}

// within tells whether an intent's function is among those that made this call.
func (t *toolCall) within(key string) bool {
	for ; t != nil; t = t.parent {
		if t.in.Key() == key {
			return true
		}
	}
	return false
}

// returned is what a function came back with.
type returned struct {
	out      []byte
	err      error
	panicked any
	exited   bool // it ended its goroutine
}

// callTool runs the function in a goroutine of its own: one that outlives its time
// must not hold up everybody who waits, nor Close.
func (r *run) callTool(ctx context.Context, e *toolEntry) exchange {
	c, key, input := r.client, r.record.Key, r.record.Payload
	call := &toolCall{in: r.in, ctx: ctx}
	call.parent, _ = ctx.Value(toolCallKey).(*toolCall)
	// What the function begins in its turn has the same scope when it is recovered.
	ctx = WithScope(ctx, r.record.Operation.Scope)
	ctx = context.WithValue(context.WithValue(ctx, frameKey, r.in), toolCallKey, call)
	done := make(chan returned, 1)
	go func() {
		back := returned{exited: true}
		defer func() {
			if back.exited {
				back.panicked = recover()
			}
			done <- back
		}()
		out, err := e.invoke(ctx, key, input)
		back = returned{out: out, err: err}
	}()
	var back returned
	select {
	case back = <-done:
	case <-ctx.Done():
		late := time.NewTimer(c.options.grace)
		defer late.Stop()
		select {
		case back = <-done:
		case <-late.C:
			r.stop, r.writes = true, call.end()
			c.overdueTool(r.record, call, done)
			return exchange{
				evidence: evidence{finding: foundUnknown, reason: "outlived its time"},
				err:      fmt.Errorf("the function did not return within %v and %v more", r.retry.AttemptTimeout, c.options.grace),
			}
		}
	}
	r.writes, r.panicked, r.stop = call.end(), back.panicked, back.exited || notNow(back.err)
	return c.judgeTool(call, back)
}

// overdueTool waits for a function that outlived its time: nothing is run under
// its key here until it returns, and a success that comes late is recorded. Close
// does not wait for it: it may never return.
func (c *Client) overdueTool(rec *Record, call *toolCall, done <-chan returned) {
	c.mu.Lock()
	c.overdue[rec.Key]++
	c.mu.Unlock()
	go func() {
		back := <-done
		if c.enter() {
			c.recordLate(rec, c.judgeTool(call, back))
			c.work.Done()
		}
		c.mu.Lock()
		if c.overdue[rec.Key]--; c.overdue[rec.Key] == 0 {
			delete(c.overdue, rec.Key)
		}
		c.mu.Unlock()
	}()
}

// recordLate records what a function that outlived its time came back with: a
// success as the outcome, anything else for people.
func (c *Client) recordLate(rec *Record, x exchange) {
	if x.finding != foundDone {
		text := x.reason
		if x.err != nil {
			text += ": " + x.err.Error()
		}
		c.journal.Audit(context.Background(), AuditEntry{Key: rec.Key, At: c.clock.now(), Reason: "came late", Text: text})
		return
	}
	now, err := c.journal.Get(context.Background(), rec.Key)
	if err != nil || now == nil {
		return // in doubt it stays, which is what the journal says
	}
	st, _ := resolve(now.Summary(), Succeeded)
	st.Version = rec.Summary().Version + 1
	change := &Change{
		Key: rec.Key, Kind: Settled, Summary: st, At: c.clock.now(), Reason: "came late", Reply: x.reply,
	}
	standing, ok, err := c.journal.Change(context.Background(), change)
	switch {
	case err != nil:
		c.unrecorded(now, change, err)
	case ok:
		c.logSettled(now, st, change.Reason)
	case standing != nil:
		c.contradicted(change, standing)
	}
}

// tried notes an attempt as it is journaled. Where a tool's function made writes,
// they are the attempts, and what it says of them stands beside them.
func (r *run) tried(number int, took time.Duration) {
	own := Attempt{Number: number, At: r.at, Took: took, Status: r.last.status, Reason: r.last.reason}
	if r.last.err != nil {
		own.Err = r.last.err.Error()
	}
	for i, try := range r.writes {
		try.Number = number + i
		r.tries = append(r.tries, try)
	}
	if len(r.writes) > 0 {
		own.Number = 0
	}
	if len(r.writes) == 0 || r.last.err != nil {
		r.tries = append(r.tries, own)
	}
	r.writes = nil
}

// judgeTool is what a function's return proves. What went over the wire overrules
// what the function says of it.
func (c *Client) judgeTool(call *toolCall, back returned) exchange {
	call.mu.Lock()
	maybe, refused, stored := call.maybe, call.refused, call.stored
	call.mu.Unlock()
	found := func(f finding, reason string, err error) exchange {
		return exchange{evidence: evidence{finding: f, reason: reason}, err: err}
	}
	var bad *unencodable
	switch err := back.err; {
	case back.panicked != nil:
		return found(foundUnknown, "panic", fmt.Errorf("the function panicked: %v", back.panicked))
	case back.exited:
		return found(foundUnknown, "exited", errors.New("the function ended its goroutine"))
	case err == nil:
		return exchange{
			evidence: evidence{finding: foundDone, reason: "done", stored: stored},
			reply:    toolReply(back.out, c.maxReply),
		}
	case errors.As(err, &bad):
		return found(foundDone, "output is not JSON", err)
	case errors.Is(err, ErrInDoubt):
		return found(foundUnknown, "in doubt", err)
	case (errors.Is(err, ErrRefused) || errors.Is(err, ErrNotSent)) && maybe:
		return found(foundUnknown, "the wire says otherwise", err)
	case errors.Is(err, ErrRefused) && (refused == foundNotNow || refused == foundLater):
		return found(foundNotNow, "refused for now", err)
	case notNow(err) && refused == 0:
		return found(foundNotSent, "not now", err)
	case errors.Is(err, ErrRefused):
		return found(foundRefused, "refused", err)
	case errors.Is(err, ErrNotSent) && refused != 0: // it was sent, and refused
		return found(refused, "refused", &toolError{ErrRefused, errors.New(words(err))})
	case errors.Is(err, ErrNotSent):
		return found(foundNotSent, "not sent", err)
	case errors.Is(err, context.DeadlineExceeded):
		return found(foundUnknown, "timeout", err)
	}
	return found(foundUnknown, "error", back.err)
}

// notNow tells a refusal on this machine for a passing reason: nothing was sent, and
// asking again at once is of no use.
func notNow(err error) bool { return errors.Is(err, ErrRefused) && errors.Is(err, ErrNotSent) }

// words is what an error says, without the name of its kind.
func words(err error) string {
	if own, ok := err.(*toolError); ok {
		return own.err.Error()
	}
	return err.Error()
}
