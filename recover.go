package idem

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/internal/wire"
	"github.com/idem-go/idem/journal"
)

// Report is what Recover did. Each open intent is counted once.
type Report struct {
	Succeeded, Failed int // settled now
	InDoubt           int // still in doubt
	Skipped           int // left as they are: another process's, or not to be recovered by itself
}

// recoverers is how many intents Recover works on at once.
const recoverers = 8

// Recover finishes what a crash left open: it claims each open intent that no
// living process has, and, where the contract allows it, sends the same bytes
// under the same key, else asks Policy.Reconcile, else leaves it in doubt. Call it
// once after Open; it may be called at any time.
//
// Skipped are the intents of living processes, those being executed here, those
// journaled under another Policy.Version or Account, those whose credentials were
// not journaled while neither WithTransport nor Policy.Authorize puts them back,
// and those of tools that are not registered. Their error is in no report: read
// Intents. The error is the journal's, or ctx's, or that of a tool whose input no
// longer decodes; the other intents are recovered all the same.
func (c *Client) Recover(ctx context.Context) (Report, error) {
	var report Report
	var mu sync.Mutex
	var firstErr error
	var wg sync.WaitGroup
	var panicked any
	slots := make(chan struct{}, recoverers)
	for in, err := range c.Intents(ctx, Filter{States: []State{Pending, InDoubt}}) {
		if err != nil {
			mu.Lock()
			if firstErr == nil {
				firstErr = err
			}
			mu.Unlock()
			break
		}
		if c.skips(in) {
			mu.Lock()
			report.Skipped++
			mu.Unlock()
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() {
				if v := recover(); v != nil { // a tool function's: it is recorded, and goes on to who called Recover
					mu.Lock()
					panicked = v
					mu.Unlock()
				}
				<-slots
			}()
			state, err := c.recoverOne(ctx, in)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && firstErr == nil {
				firstErr = err
			}
			switch {
			case err != nil:
				report.Skipped++
			case state == Succeeded:
				report.Succeeded++
			case state == Failed:
				report.Failed++
			case state == InDoubt:
				report.InDoubt++
			default:
				report.Skipped++
			}
		})
	}
	wg.Wait()
	if panicked != nil {
		panic(panicked)
	}
	return report, firstErr
}

// skips tells whether an open intent is not for Recover.
func (c *Client) skips(in *Intent) bool {
	r, _ := in.snapshot()
	c.mu.Lock()
	_, begun := c.idle[r.Key] // by a caller here, who will call Do
	c.mu.Unlock()
	if r.Owner == journal.OwnedByLive || begun || c.running(r.Key) {
		return true
	}
	p := c.policyOf(r)
	if r.Terms.Version != p.Version || r.Terms.Account != p.Account {
		return true
	}
	if r.Terms.Tool {
		return c.tool(r.Operation.Name) == nil
	}
	if p.Authorize == nil && c.options.transport == nil {
		h, err := wire.DecodeHead(r.Head)
		return err != nil || len(h.Removed) > 0
	}
	return false
}

// recoverOne carries one intent out and tells where it stands then. The error is
// the journal's, or ctx's: what became of the intent is no error here.
func (c *Client) recoverOne(ctx context.Context, in *Intent) (State, error) {
	_, err := c.drive(ctx, in)
	state := in.State()
	switch {
	case ctx.Err() != nil:
		return state, ctx.Err()
	case err == nil, errors.Is(err, ErrInDoubt):
		return state, nil
	case state == Succeeded || state == Failed:
		return state, nil
	}
	return state, err
}

// Lookup reads the intent that owns a key, whatever its state, with its whole
// history. There being none is an error that Is ErrNoIntent.
func (c *Client) Lookup(ctx context.Context, key string) (*Intent, error) {
	if !c.enter() {
		return nil, isClosed("lookup of " + key)
	}
	defer c.work.Done()
	r, err := c.journal.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("idem: the journal could not look up key %s: %w", key, err)
	}
	if r == nil {
		return nil, failure(ErrNoIntent, nil, "no intent in this journal has the key %q", key)
	}
	return &Intent{client: c, record: r}, nil
}

// pageSize is how many records are in memory at once while iterating.
const pageSize = 64

// Intents iterates over the intents that f selects, oldest first, reading the
// journal page by page; intents begun meanwhile may be seen or not. An error ends
// the iteration. It may be broken off at any time, and the client may be used in
// its body.
func (c *Client) Intents(ctx context.Context, f Filter) iter.Seq2[*Intent, error] {
	return func(yield func(*Intent, error) bool) {
		cursor := ""
		for {
			page, next, err := c.page(ctx, f, cursor)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, r := range page {
				if !yield(&Intent{client: c, record: r}, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			cursor = next
		}
	}
}

func (c *Client) page(ctx context.Context, f Filter, cursor string) ([]*journal.Record, string, error) {
	if !c.enter() {
		return nil, "", isClosed("reading the journal")
	}
	defer c.work.Done()
	if err := ctx.Err(); err != nil {
		return nil, "", fmt.Errorf("idem: reading the journal: %w", err)
	}
	page, next, err := c.journal.Page(ctx, f, cursor, pageSize)
	if err != nil {
		return nil, "", fmt.Errorf("idem: the journal could not be read: %w", err)
	}
	return page, next, nil
}

// Resolve records what a person found out about an open intent: Succeeded, with
// the result if it is known, or Failed, which means that it has not happened and
// can no longer happen. r.Note says who and why, and is journaled. InDoubt only
// adds the note. An intent that a living process is executing, or that is settled,
// is not resolved, and the error says so.
func (c *Client) Resolve(ctx context.Context, key string, r Resolution) error {
	if !c.enter() {
		return isClosed("resolving " + key)
	}
	defer c.work.Done()
	if r.State != Succeeded && r.State != Failed && r.State != InDoubt {
		return fmt.Errorf("idem: resolving %s: Resolution.State is %s: say Succeeded, Failed or InDoubt", key, r.State)
	}
	if r.Again && r.State != Failed {
		return fmt.Errorf("idem: resolving %s as %s: Again goes with Failed, which says that it was not done", key, r.State)
	}
	if r.State != Succeeded && r.Result != nil {
		return fmt.Errorf("idem: resolving %s as %s: only Succeeded has a Result", key, r.State)
	}
	c.mu.Lock()
	letGo, free := c.hold(key)
	c.mu.Unlock()
	if !free {
		letGo = func() {}
	}
	done := sync.OnceFunc(letGo)
	defer done() // a Do that comes meanwhile waits, and sees what is recorded
	rec, err := c.journal.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("idem: resolving %s: the journal could not be read: %w", key, err)
	}
	if rec == nil {
		return failure(ErrNoIntent, nil, "no intent in this journal has the key %q", key)
	}
	c.clock.SeeRecord(rec)
	st := rec.Summary()
	switch {
	case st.State == Succeeded || st.State == Failed && !r.Again:
		return fmt.Errorf("idem: %s is %s already: a settled outcome never changes", describe(rec), st.State)
	case rec.Owner == journal.OwnedByLive || !free:
		return fmt.Errorf("idem: %s is being executed by a living process, or resolved at this moment: wait until it is settled or in doubt, or stop that process", describe(rec))
	case rec.Terms.Tool && r.Result != nil && !validJSON(r.Result):
		return fmt.Errorf("idem: resolving %s: the Result of a tool is its output as JSON, and this is not JSON", describe(rec))
	}
	if r.State == InDoubt {
		return c.journal.Audit(ctx, journal.AuditEntry{Key: key, At: c.clock.Now(), Reason: "resolved in doubt", Text: r.Note})
	}
	next, _ := lifecycle.Resolve(st, r.State)
	if r.Again {
		next = lifecycle.ResolveAgain(st)
	}
	next.Version++
	change := &journal.Change{
		Key: key, Kind: journal.Resolved, Summary: next, At: c.clock.Now(),
		Reason: "resolved", Note: r.Note, Reply: resultReply(r, rec.Terms.Tool),
	}
	conflict, _, err := c.journal.Change(ctx, change)
	if err != nil {
		return fmt.Errorf("idem: resolving %s: the journal could not record it: %w", describe(rec), err)
	}
	if conflict != journal.NoConflict {
		return fmt.Errorf("idem: %s changed while it was being resolved: look it up again", describe(rec))
	}
	c.mu.Lock()
	delete(c.idle, key)
	c.mu.Unlock()
	done()
	c.logSettled(rec, next, change.Reason)
	c.tell(ctx, &Intent{client: c, record: withChange(rec, change)}, rec.Operation, change.Reason, nil)
	return nil
}

// Settle records late evidence of what became of an intent, such as a webhook's. A
// Succeeded is taken even while a living process carries the intent out, since a proven
// success is never lost; Failed and InDoubt are recorded as Resolve records them. The
// state that the intent has already is no error. The contrary of a final state is one,
// which changes nothing; an audit row says what the evidence was.
func (c *Client) Settle(ctx context.Context, key string, r Resolution) error {
	if !c.enter() {
		return isClosed("settling " + key)
	}
	defer c.work.Done()
	rec, err := c.journal.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("idem: settling %s: the journal could not be read: %w", key, err)
	}
	if rec == nil {
		return failure(ErrNoIntent, nil, "no intent in this journal has the key %q", key)
	}
	st := rec.Summary()
	switch final := st.State == Succeeded || st.State == Failed; {
	case final && (r.State == Succeeded || r.State == Failed) && !r.Again:
		return c.agrees(rec, r)
	case r.State != Succeeded:
		return c.Resolve(ctx, key, r)
	case rec.Terms.Tool && r.Result != nil && !validJSON(r.Result):
		return fmt.Errorf("idem: settling %s: the Result of a tool is its output as JSON, and this is not JSON", describe(rec))
	}
	c.clock.SeeRecord(rec)
	next, _ := lifecycle.Resolve(st, Succeeded)
	next.Version++
	change := &journal.Change{
		Key: key, Kind: journal.Settled, Summary: next, At: c.clock.Now(),
		Reason: "settled", Note: r.Note, Reply: resultReply(r, rec.Terms.Tool),
	}
	conflict, standing, err := c.journal.Change(ctx, change)
	switch {
	case err != nil:
		return fmt.Errorf("idem: settling %s: the journal could not record it: %w", describe(rec), err)
	case conflict == journal.NoConflict:
		c.mu.Lock()
		delete(c.idle, key)
		c.mu.Unlock()
		c.logSettled(rec, next, change.Reason)
		c.tell(ctx, &Intent{client: c, record: withChange(rec, change)}, rec.Operation, change.Reason, nil)
		return nil
	case standing == nil:
		return failure(ErrNoIntent, nil, "no intent in this journal has the key %q", key)
	}
	return c.agrees(standing, r) // it was settled meanwhile
}

// agrees returns no error where evidence says what is recorded of a settled intent.
func (c *Client) agrees(rec *journal.Record, r Resolution) error {
	state := rec.Summary().State
	if state == r.State {
		return nil
	}
	c.alarm(rec, fmt.Sprintf("late evidence says %s (%s) after the intent was recorded as %s", r.State, r.Note, state))
	return fmt.Errorf("idem: settling %s as %s: it is %s already, and a settled outcome never changes: look at the server which is so; nothing was changed",
		describe(rec), r.State, state)
}

// Prune drops what WithRetention no longer keeps: payloads and outcomes of settled
// intents first, their bare identities much later. Open intents are never pruned.
// It returns how many intents it shortened or dropped. The journal prunes by
// itself as well; the file does not shrink, its space is used again.
func (c *Client) Prune(ctx context.Context) (int, error) {
	if !c.enter() {
		return 0, isClosed("pruning")
	}
	defer c.work.Done()
	now := c.clock.Now()
	n, err := c.journal.Prune(ctx, now.Add(-c.options.outcomes), now.Add(-c.options.identities))
	if err != nil {
		return n, fmt.Errorf("idem: pruning: %w", err)
	}
	return n, nil
}

// Stats reads the counts.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	if !c.enter() {
		return Stats{}, isClosed("reading the counts")
	}
	defer c.work.Done()
	s, err := c.journal.Stats(ctx)
	if err != nil {
		return Stats{}, fmt.Errorf("idem: reading the counts: %w", err)
	}
	return s, nil
}
