package idem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/idem-go/idem/internal/clock"
	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/internal/wire"
	"github.com/idem-go/idem/journal"
)

// sendOptions returns how an attempt is made under a policy. maySend is until when.
func (c *Client) sendOptions(w *wire.Request, p *Policy, base http.RoundTripper, maySend func() bool) wire.SendOptions {
	return wire.SendOptions{
		Base: base, MaxReply: c.maxReply, Authorize: p.Authorize, Redact: p.Redact, MaySend: maySend,
		Judge: func(resp *http.Response, reply *journal.Reply) lifecycle.Evidence {
			return judge(w.AsksJSON, p.Contract, resp, reply)
		},
	}
}

// enter keeps the journal open while the caller uses it; false: the client is
// closed. Every enter that is true is followed by c.work.Done.
func (c *Client) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.work.Add(1)
	}
	return !c.closed
}

// isClosed is the error of a caller that could not enter.
func isClosed(what string) error {
	return failure(ErrClosed, nil, "%s: the client is closed; nothing was sent", what)
}

func forgotten(r *journal.Record) error {
	return failure(ErrForgotten, nil, "%s %s before %s and its outcome is no longer kept; nothing was sent; use another ID for another thing",
		describe(r), r.Summary().State, r.PrunedAt.UTC().Format(time.RFC3339))
}

func (c *Client) running(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runs[key] != nil
}

// hold makes a key busy while the client itself writes a row of its intent: a caller that
// wants to carry the intent out, or to resolve it, waits for letGo and reads it again.
// It reports false where the intent is being carried out. c.mu is held.
func (c *Client) hold(key string) (letGo func(), ok bool) {
	if c.runs[key] != nil {
		return nil, false
	}
	r := &run{client: c, cancel: func() {}, done: make(chan struct{}), again: true}
	c.runs[key] = r
	return func() {
		c.mu.Lock()
		delete(c.runs, key)
		c.mu.Unlock()
		close(r.done)
	}, true
}

// journalError says what a journal that fails means for the caller.
func (c *Client) journalError(r *journal.Record, doing string, err error) error {
	switch {
	case errors.Is(err, ErrMaybeRecorded):
		return failure(ErrMaybeRecorded, err,
			"%s: the journal failed half-way, so the intent may be recorded: %v; nothing was sent; begin again under the same ID only",
			describe(r), err)
	case errors.Is(err, ErrClosed):
		return failure(ErrClosed, err, "%s: the client is closed; nothing was sent", r.Operation)
	}
	return fmt.Errorf("idem: %s: the journal could not %s: %w; nothing was sent", describe(r), doing, err)
}

// readClock learns what earlier openers knew of the clock, without writing.
func (c *Client) readClock() error {
	old, err := c.journal.Value(context.Background(), clock.ValueName, nil)
	if err != nil {
		return fmt.Errorf("idem: opening the journal: reading what it knows of the clock: %w", err)
	}
	c.clock.Learn(old)
	return nil
}

// saveClock makes a grown offset durable.
func (c *Client) saveClock() error {
	if !c.clock.Unsaved() {
		return nil
	}
	durable, err := c.journal.Value(context.Background(), clock.ValueName, c.clock.Merge)
	if err == nil {
		c.clock.Learn(durable)
	}
	return err
}

// readOptions returns how a request is taken apart under a policy.
func (c *Client) readOptions(p *Policy) wire.ReadOptions {
	return wire.ReadOptions{Place: p.Contract.place(), Redact: p.Redact, MaxPayload: c.options.maxPayload}
}

func termsOf(p *Policy, tool bool) journal.Terms {
	return journal.Terms{
		Tool: tool, MarksAttempts: !p.Contract.keepsKeys(), Contract: p.Contract.Name,
		Retention: p.Contract.Retention, KeyPlace: p.Contract.place(), Quoted: p.Contract.Quoted,
		FirstSent: p.Contract.FirstSent, Version: p.Version, Account: p.Account,
	}
}

// retentionUnder is the stricter of what was promised at Begin and what is now.
func retentionUnder(t journal.Terms, p *Policy) time.Duration {
	return min(t.Retention, p.Contract.Retention)
}

func (c *Client) retentionOf(r *journal.Record) time.Duration {
	return retentionUnder(r.Terms, c.policyOf(r))
}

func (c *Client) retryOf(r *journal.Record) Retry {
	return c.policyOf(r).Retry.withDefaults()
}

// idleClaim is an intent that was created here and that no caller runs.
type idleClaim struct {
	since   time.Time // zero: it is not in the journal yet
	version int
}

// toolEntry is a registered tool without its types.
type toolEntry struct {
	name   string
	policy Policy
	decode func(input []byte) ([]byte, error) // the JSON of the decoded input
	invoke func(ctx context.Context, key string, input []byte) ([]byte, error)
}

func (c *Client) tool(name string) *toolEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tools[name]
}

// policyOf is the policy that an intent is carried out under now. It is the client's
// own: a caller that changes it copies it first.
func (c *Client) policyOf(r *journal.Record) *Policy {
	if r.Terms.Tool {
		if e := c.tool(r.Operation.Name); e != nil {
			return &e.policy
		}
	}
	p, _ := c.policies.of(r.Operation.Name)
	return p
}
