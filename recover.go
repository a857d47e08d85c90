package idem

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/journal"
)

// Report counts what Recover did. Each open intent is counted once.
type Report struct {
	Succeeded, Failed int // settled by this call
	InDoubt           int // in doubt, before this call or since
	Skipped           int // left as they were

	// Reasons counts the skipped intents by the reason for which each was skipped. It is
	// nil if none was. The reasons are:
	//
	//   - "owner alive": another living process owns the intent.
	//   - "running here": this process executes the intent, or began it and has not
	//     called Do yet.
	//   - "version changed": the intent was begun under another Policy.Version.
	//   - "account changed": the intent was begun under another Policy.Account.
	//   - "credentials missing": the request had credentials, which are not journaled, and
	//     neither WithTransport nor Policy.Authorize adds them again.
	//   - "tool not registered": no tool has the operation's name.
	//   - "input does not decode": the journaled input does not fit the tool's input type,
	//     or the journaled request cannot be read.
	//   - "duplicate": it was never sent, and the same payload was begun since under
	//     another ID inside Policy.Window.
	//   - "limit": it was never sent, and Policy.Limit has no room for it now.
	//   - "superseded": another payload was begun under its identity.
	//   - "stopped": ctx ended, or the client was closed.
	//   - "journal error": the journal failed.
	Reasons map[string]int
}

// recoverers is how many intents Recover works on at once.
const recoverers = 8

// Recover finishes what a crash left open: it claims each open intent that no
// living process has, and, where the contract allows it, sends the same bytes
// under the same key, else asks Policy.Reconcile, else leaves it in doubt. Call it
// once after Open; it may be called at any time.
//
// Report.Reasons lists the reasons for which Recover skips an intent. A skipped intent
// keeps its state. If the reason is the intent's own (version, account, credentials,
// tool, input), Recover writes a line with level WARN to the log, and an entry
// "skipped" to the intent's history if the reason is not the one recorded there
// already. An intent with such a reason that may have been sent and can never be sent
// again is not skipped: it is reconciled if only its credentials are missing, and else
// marked in doubt.
//
// An intent over which more than five owners died is parked: it may be what kills them.
// Recover leaves it in doubt. A caller's own call makes one attempt, under the same key
// and while the contract allows it, until an owner dies in that too.
//
// The error is the journal's, or ctx's, or that of a tool whose input no longer
// decodes; the other intents are recovered all the same.
func (c *Client) Recover(ctx context.Context) (Report, error) {
	var report Report
	var mu sync.Mutex
	var firstErr error
	var wg sync.WaitGroup
	var panicked any
	slots := make(chan struct{}, recoverers)
	ctx = context.WithValue(ctx, recoverKey, true)
	for in, err := range c.Intents(ctx, Filter{States: []State{Pending, InDoubt}}) {
		if err != nil {
			mu.Lock()
			if firstErr == nil {
				firstErr = err
			}
			mu.Unlock()
			break
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
			state, skipped, err := c.recoverOne(ctx, in)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && firstErr == nil {
				firstErr = err
			}
			report.add(state, skipped)
		})
	}
	wg.Wait()
	if panicked != nil {
		panic(panicked)
	}
	return report, firstErr
}

// add counts an intent by its state or, if it was skipped, by the reason for that.
func (r *Report) add(state State, skipped string) {
	switch {
	case skipped != "":
		r.Skipped++
		if r.Reasons == nil {
			r.Reasons = map[string]int{}
		}
		r.Reasons[skipped]++
	case state == Succeeded:
		r.Succeeded++
	case state == Failed:
		r.Failed++
	default:
		r.InDoubt++
	}
}

// recoverOne executes one intent and returns its state, or the reason for which it is
// skipped. The error is the journal's, ctx's or a decoder's: a failed execution of the
// intent is none.
func (c *Client) recoverOne(ctx context.Context, in *Intent) (state State, skipped string, err error) {
	r, _ := in.snapshot()
	skipped, err = c.skipReason(r)
	if lasting(skipped) && !c.sendableLater(r, skipped) {
		if skipped != skipCredentials {
			return c.doubtUnsendable(ctx, in, skipped)
		}
		skipped = "" // nothing is sent, so the missing credentials do not matter
	}
	if skipped != "" {
		return r.Summary().State, skipped, errors.Join(err, c.noteSkipped(ctx, r, skipped))
	}
	_, err = c.drive(ctx, in)
	switch state = in.State(); {
	case ctx.Err() != nil:
		return state, skipStopped, ctx.Err()
	case state == InDoubt && (err == nil || errors.Is(err, ErrInDoubt)):
		return state, "", nil
	case state == Succeeded || state == Failed:
		return state, "", nil
	case err == nil, errors.Is(err, ErrInDoubt):
		return state, skipStopped, nil
	case errors.Is(err, ErrClosed):
		return state, skipStopped, err
	case errors.Is(err, ErrDuplicate):
		return state, skipDuplicate, c.noteSkipped(ctx, r, skipDuplicate)
	case errors.Is(err, ErrLimit):
		return state, skipLimit, c.noteSkipped(ctx, r, skipLimit)
	case errors.Is(err, ErrMismatch):
		return state, skipSuperseded, c.noteSkipped(ctx, r, skipSuperseded)
	}
	c.logSkipped(r, skipJournal)
	return state, skipJournal, err
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
