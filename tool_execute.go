package idem

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/internal/wire"
	"github.com/idem-go/idem/journal"
)

// defaultGrace is what a tool function gets beyond its AttemptTimeout to notice
// that its context ended.
const defaultGrace = 5 * time.Second

// toolCall is one run of a tool's function, with what it wrote to the wire.
type toolCall struct {
	in     *Intent
	parent *toolCall       // whose function made this call; nil: none
	ctx    context.Context // ends with the run's time

	maySend func() bool // reports whether the key may still be written; nil: always

	mu      sync.Mutex
	over    bool                    // the function returned, or was given up
	maybe   bool                    // a write had its effect, or may have had it
	refused lifecycle.AttemptResult // how the last write was refused; 0: none was
	stored  bool                    // the write's reply was a stored one
	tries   []journal.Attempt       // the writes under the tool's own key
	done    *wire.Exchange          // what the tool's own write succeeded with
}

// saw takes the evidence of a write that was made inside the function.
func (t *toolCall) saw(f lifecycle.AttemptResult) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch f {
	case lifecycle.NotSent:
	case lifecycle.Refused, lifecycle.RefusedTransient, lifecycle.RetryLater:
		t.refused = f
	default:
		t.maybe = true
	}
}

// wrote takes a write under the tool's own key, which is an attempt of its intent.
func (t *toolCall) wrote(x *wire.Exchange, at time.Time, took time.Duration) {
	t.saw(x.Result)
	try := journal.Attempt{At: at, Took: took, Status: x.Status, Reason: x.Reason}
	if x.Err != nil {
		try.Err = x.Err.Error()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tries = append(t.tries, try)
	if x.Result == lifecycle.Done {
		t.done, t.stored = x, x.Stored
	}
}

// standing is what the writes so far leave.
func (t *toolCall) standing() (done *wire.Exchange, maybe, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.done, t.maybe, t.over || t.ctx.Err() != nil
}

// late reports whether the key may be written no more.
func (t *toolCall) late() bool { return t.maySend != nil && !t.maySend() }

// end forbids further writes under the tool's key, and returns those made.
func (t *toolCall) end() []journal.Attempt {
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

// returned is what code of the program came back with.
type returned[T any] struct {
	out      T
	panicked any
	exited   bool // it ended its goroutine
}

// called is f in a goroutine of its own; what it comes back with is sent to the channel.
func called[T any](f func() T) <-chan returned[T] {
	done := make(chan returned[T], 1)
	go func() {
		back := returned[T]{exited: true}
		defer func() {
			if back.exited {
				back.panicked = recover()
			}
			done <- back
		}()
		out := f()
		back = returned[T]{out: out}
	}()
	return done
}

// inTime calls code of the program: f, which should return when ctx has ended. Once the
// grace is over, too, inTime gives f up and returns the channel of what comes back late,
// so that neither a caller nor Close waits for code that never returns. What f panics
// with, inTime panics with.
func inTime[T any](ctx context.Context, grace time.Duration, f func() T) (out T, late <-chan returned[T]) {
	done := called(f)
	back, ok := within(ctx, grace, done)
	switch {
	case !ok:
		return out, done
	case back.panicked != nil:
		panic(back.panicked)
	case back.exited:
		runtime.Goexit()
	}
	return back.out, nil
}

// within waits until something comes back, or ctx has ended and the grace is over.
func within[T any](ctx context.Context, grace time.Duration, done <-chan returned[T]) (back returned[T], ok bool) {
	select {
	case back = <-done:
		return back, true
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case back = <-done:
		return back, true
	case <-timer.C:
		return back, false
	}
}

// outlivedIts is the result of an attempt that was given up.
func outlivedIts(time, grace time.Duration, what string) wire.Exchange {
	return wire.Exchange{
		Evidence: lifecycle.Evidence{Result: lifecycle.Unknown, Reason: "outlived its time"},
		Err:      fmt.Errorf("%s did not return within %v and %v more", what, time, grace),
	}
}

// toolReturn is what a tool's function returned.
type toolReturn struct {
	json []byte
	err  error
}

// callTool runs the function in a goroutine of its own: one that outlives its time
// must not hold up everybody who waits, nor Close.
func (r *run) callTool(ctx context.Context, e *toolEntry) wire.Exchange {
	c, key, input := r.client, r.record.Key, r.record.Payload
	call := &toolCall{in: r.in, ctx: ctx, maySend: r.mayWrite()}
	call.parent, _ = ctx.Value(toolCallKey).(*toolCall)
	// What the function begins in its turn has the same scope when it is recovered.
	ctx = WithScope(ctx, r.record.Operation.Scope)
	ctx = context.WithValue(&intentContext{ctx, r.in}, toolCallKey, call)
	done := called(func() toolReturn {
		if call.late() { // the process was stopped since attempt looked at the clock
			return toolReturn{err: NotSent(errors.New("its time was up before the function was called"))}
		}
		out, err := e.invoke(ctx, key, input)
		return toolReturn{out, err}
	})
	back, ok := within(ctx, c.options.grace, done)
	if !ok {
		r.stop, r.writes = true, call.end()
		c.overdueAttempt(r.record, func() wire.Exchange { return c.judgeTool(call, <-done) })
		return outlivedIts(r.retry.AttemptTimeout, c.options.grace, "the function")
	}
	r.writes, r.panicked, r.stop = call.end(), back.panicked, back.exited || notNow(back.out.err)
	return c.judgeTool(call, back)
}

// overdueAttempt waits for an attempt that outlived its time: nothing is sent or run
// under its key here until it returns, and a success that comes late is recorded. Close
// does not wait for it: it may never return.
func (c *Client) overdueAttempt(rec *journal.Record, wait func() wire.Exchange) {
	c.mu.Lock()
	c.overdue[rec.Key]++
	c.mu.Unlock()
	go func() {
		x := wait()
		if c.enter() {
			c.recordLate(rec, x)
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
func (c *Client) recordLate(rec *journal.Record, x wire.Exchange) {
	if x.Result != lifecycle.Done {
		text := x.Reason
		if x.Err != nil {
			text += ": " + x.Err.Error()
		}
		c.journal.Audit(context.Background(), journal.AuditEntry{Key: rec.Key, At: c.clock.Now(), Reason: "came late", Text: text})
		return
	}
	now, err := c.journal.Get(context.Background(), rec.Key)
	if err != nil || now == nil {
		return // in doubt it stays, which is what the journal says
	}
	st, _ := lifecycle.Resolve(now.Summary(), Succeeded)
	st.Version = rec.Summary().Version + 1
	change := &journal.Change{
		Key: rec.Key, Kind: journal.Settled, Summary: st, At: c.clock.Now(), Reason: "came late", Reply: x.Reply,
	}
	conflict, standing, err := c.journal.Change(context.Background(), change)
	ok := conflict == journal.NoConflict
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
	own := journal.Attempt{Number: number, At: r.at, Took: took, Status: r.last.Status, Reason: r.last.Reason}
	if r.last.Err != nil {
		own.Err = r.last.Err.Error()
	}
	for i, try := range r.writes {
		try.Number = number + i
		r.tries = append(r.tries, try)
	}
	if len(r.writes) > 0 {
		own.Number = 0
	}
	if len(r.writes) == 0 || r.last.Err != nil {
		r.tries = append(r.tries, own)
	}
	r.writes = nil
}

// judgeTool is what a function's return proves. What went over the wire overrules
// what the function says of it.
func (c *Client) judgeTool(call *toolCall, back returned[toolReturn]) wire.Exchange {
	call.mu.Lock()
	maybe, refused, stored := call.maybe, call.refused, call.stored
	call.mu.Unlock()
	found := func(f lifecycle.AttemptResult, reason string, err error) wire.Exchange {
		return wire.Exchange{Evidence: lifecycle.Evidence{Result: f, Reason: reason}, Err: err}
	}
	var bad *unencodable
	switch err := back.out.err; {
	case back.panicked != nil:
		return found(lifecycle.Unknown, "panic", fmt.Errorf("the function panicked: %v", back.panicked))
	case back.exited:
		return found(lifecycle.Unknown, "exited", errors.New("the function ended its goroutine"))
	case err == nil:
		return wire.Exchange{
			Evidence: lifecycle.Evidence{Result: lifecycle.Done, Reason: "done", Stored: stored},
			Reply:    toolReply(back.out.json, c.maxReply),
		}
	case errors.As(err, &bad):
		return found(lifecycle.Done, "output is not JSON", err)
	case errors.Is(err, ErrInDoubt):
		return found(lifecycle.Unknown, "in doubt", err)
	case (errors.Is(err, ErrRefused) || errors.Is(err, ErrNotSent)) && maybe:
		return found(lifecycle.Unknown, "the wire says otherwise", err)
	case errors.Is(err, ErrRefused) && (refused == lifecycle.RefusedTransient || refused == lifecycle.RetryLater):
		return found(lifecycle.RefusedTransient, "refused for now", err)
	case notNow(err) && refused == 0:
		return found(lifecycle.NotSent, "not now", err)
	case errors.Is(err, ErrRefused):
		return found(lifecycle.Refused, "refused", err)
	case errors.Is(err, ErrNotSent) && refused != 0: // it was sent, and refused
		return found(refused, "refused", &toolError{ErrRefused, errors.New(words(err))})
	case errors.Is(err, ErrNotSent):
		return found(lifecycle.NotSent, "not sent", err)
	case errors.Is(err, context.DeadlineExceeded):
		return found(lifecycle.Unknown, "timeout", err)
	}
	return found(lifecycle.Unknown, "error", back.out.err)
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
