package idem

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// grace is what a tool function gets beyond its AttemptTimeout to notice that its
// context ended.
const grace = 5 * time.Second

// toolCall is one run of a tool's function, with what it wrote to the wire.
type toolCall struct {
	in *Intent

	mu      sync.Mutex
	written bool // something reached the wire, or may have
	maybe   bool // and may have had its effect, as far as the wire tells
}

// saw takes the evidence of a write that Transport made inside the function.
func (t *toolCall) saw(f finding) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f != foundNotSent {
		t.written = true
	}
	if f == foundUnknown || f == foundInFlight || f == foundMismatch {
		t.maybe = true
	}
}

func (t *toolCall) wire() (written, maybe bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.written, t.maybe
}

// returned is what a function came back with.
type returned struct {
	out      []byte
	err      error
	panicked any
	exited   bool // it ended its goroutine
}

// callTool runs the function in a goroutine of its own: one that outlives its time
// must not hold up everybody who waits.
func (r *run) callTool(ctx context.Context, e *toolEntry) exchange {
	c, key, input := r.client, r.record.Key, r.record.Payload
	call := &toolCall{in: r.in}
	ctx = context.WithValue(context.WithValue(ctx, frameKey, r.in), toolCallKey, call)
	done := make(chan returned, 1)
	c.work.Go(func() {
		back := returned{exited: true}
		defer func() {
			if back.exited {
				back.panicked = recover()
			}
			done <- back
		}()
		out, err := e.invoke(ctx, key, input)
		back = returned{out: out, err: err}
	})
	select {
	case back := <-done:
		return r.judgeTool(call, back)
	case <-ctx.Done():
	}
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case back := <-done:
		return r.judgeTool(call, back)
	case <-late.C:
	}
	c.overdueTool(key, r.record.Standing().Version, call, done, r)
	r.stop = true
	return exchange{
		evidence: evidence{finding: foundUnknown, reason: "outlived its time"},
		err:      fmt.Errorf("the function did not return within %v and %v more", r.retry.AttemptTimeout, grace),
	}
}

// overdueTool waits for a function that outlived its time: nothing is run under
// its key until it returns, and a success that comes late is recorded.
func (c *Client) overdueTool(key string, version int, call *toolCall, done <-chan returned, r *run) {
	c.mu.Lock()
	c.overdue[key]++
	c.mu.Unlock()
	c.work.Go(func() {
		back := <-done
		x := r.judgeTool(call, back)
		if x.finding == foundDone {
			c.recordLate(key, version, x)
		}
		c.mu.Lock()
		if c.overdue[key]--; c.overdue[key] == 0 {
			delete(c.overdue, key)
		}
		c.mu.Unlock()
	})
}

// recordLate records a proven success of an intent that is no longer this run's.
func (c *Client) recordLate(key string, version int, x exchange) {
	rec, err := c.journal.Get(context.Background(), key)
	if err != nil || rec == nil {
		return // in doubt it stays, which is what the journal says
	}
	st := rec.Standing()
	st.State, st.Failure, st.Takeovers, st.Version = Succeeded, NotFailed, 0, version+1
	change := &Change{
		Key: key, Kind: Settled, Standing: st, At: c.clock.now(), Reason: "came late", Reply: x.reply,
	}
	standing, ok, err := c.journal.Change(context.Background(), change)
	if err == nil && !ok && standing != nil {
		c.contradicted(change, standing)
	}
}

// judgeTool is what a function's return proves. What went over the wire overrules
// what the function says of it.
func (r *run) judgeTool(call *toolCall, back returned) exchange {
	written, maybe := call.wire()
	var bad *unencodable
	unknown := func(reason string, err error) exchange {
		return exchange{evidence: evidence{finding: foundUnknown, reason: reason}, err: err}
	}
	switch err := back.err; {
	case back.panicked != nil:
		r.panicked, r.stop = back.panicked, true
		return unknown("panic", fmt.Errorf("the function panicked: %v", back.panicked))
	case back.exited:
		r.stop = true
		return unknown("exited", errors.New("the function ended its goroutine"))
	case err == nil:
		return exchange{evidence: evidence{finding: foundDone, reason: "done"}, reply: toolReply(back.out, r.client.maxReply)}
	case errors.As(err, &bad):
		return exchange{evidence: evidence{finding: foundDone, reason: "output is not JSON"}, err: err}
	case errors.Is(err, ErrInDoubt):
		return unknown("in doubt", err)
	case errors.Is(err, ErrRefused) && !maybe:
		return exchange{evidence: evidence{finding: foundRefused, reason: "refused"}, err: err}
	case errors.Is(err, ErrNotSent) && !written:
		return exchange{evidence: evidence{finding: foundNotSent, reason: "not sent"}, err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return unknown("timeout", err)
	default:
		return unknown("error", err)
	}
}
