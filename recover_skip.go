package idem

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/internal/wire"
	"github.com/idem-go/idem/journal"
)

// The reasons of Report.Reasons.
const (
	skipOwnerAlive  = "owner alive"
	skipRunning     = "running here"
	skipVersion     = "version changed"
	skipAccount     = "account changed"
	skipCredentials = "credentials missing"
	skipTool        = "tool not registered"
	skipInput       = "input does not decode"
	skipDuplicate   = "duplicate"
	skipLimit       = "limit"
	skipSuperseded  = "superseded"
	skipStopped     = "stopped"
	skipJournal     = "journal error"
)

// auditSkipped is the Reason of the audit entry of a skipped intent. Its Text is the
// reason for which Recover skipped the intent.
const auditSkipped = "skipped"

// skipReason returns the reason for which Recover does not send an open intent, or ""
// if it may send it. The error is that of an input or a request that does not decode.
func (c *Client) skipReason(r *journal.Record) (string, error) {
	c.mu.Lock()
	_, begun := c.idle[r.Key] // by a caller here, who will call Do
	running := begun || c.runs[r.Key] != nil
	c.mu.Unlock()
	p := c.policyOf(r)
	switch {
	case r.Owner == journal.OwnedByLive:
		return skipOwnerAlive, nil
	case running:
		return skipRunning, nil
	case r.Terms.Tool && c.tool(r.Operation.Name) == nil:
		return skipTool, nil
	case r.Terms.Version != p.Version:
		return skipVersion, nil
	case r.Terms.Account != p.Account:
		return skipAccount, nil
	case r.Terms.Tool:
		if err := c.checkTool(r); err != nil {
			return skipInput, err
		}
		return "", nil
	}
	h, err := wire.DecodeHead(r.Head)
	switch {
	case err != nil:
		return skipInput, fmt.Errorf("idem: %s: the journaled request cannot be read: %w; the intent is left as it is", describe(r), err)
	case len(h.Removed) > 0 && p.Authorize == nil && c.options.transport == nil:
		return skipCredentials, nil
	}
	return "", nil
}

// lasting reports whether a reason is the intent's own, so that people have to know it:
// Recover skips the intent again and again until the program changes.
func lasting(reason string) bool {
	switch reason {
	case skipVersion, skipAccount, skipCredentials, skipTool, skipInput:
		return true
	}
	return false
}

// sendableLater reports whether an intent that Recover skips can still be sent, by a
// caller or after the program has changed. It is false for an intent that may have been
// sent, if its contract keeps no keys or the retention has passed.
func (c *Client) sendableLater(r *journal.Record, reason string) bool {
	retention := r.Terms.Retention
	if reason == skipCredentials {
		retention = c.retentionOf(r) // of the other reasons, each leaves the policy open
	}
	return lifecycle.MaySend(claimed(r, c.clock.Now()), retention, 0, c.clock.Now())
}

// claimed returns the summary of r after a claim by this process, which executes it
// not.
func claimed(r *journal.Record, now time.Time) journal.Summary {
	owner := r.Owner
	if owner == journal.OwnedBySelf {
		owner = journal.OwnedByDead // the last row of the run that had it is missing
	}
	return lifecycle.Claim(r.Summary(), owner, r.Terms, now)
}

// doubtUnsendable marks an intent InDoubt that Recover skips for a lasting reason and
// that can never be sent again. If that is no longer so, it returns the reason.
func (c *Client) doubtUnsendable(ctx context.Context, in *Intent, reason string) (state State, skipped string, err error) {
	if !c.enter() {
		return Pending, skipStopped, isClosed("recovering " + in.Key())
	}
	defer c.work.Done()
	c.mu.Lock()
	c.writes = true
	letGo, free := c.hold(in.Key())
	c.mu.Unlock()
	if !free {
		return Pending, skipRunning, nil
	}
	defer letGo()
	r, err := c.journal.Get(ctx, in.Key())
	if err == nil && r == nil {
		err = errors.New("it is no longer there")
	}
	if err == nil {
		c.clock.SeeRecord(r)
		err = c.saveClock()
	}
	if err != nil {
		first, _ := in.snapshot()
		c.logSkipped(first, skipJournal)
		return Pending, skipJournal, c.journalError(first, "mark it in doubt", err)
	}
	in.learn(r, false)
	switch {
	case r.Summary().State != Pending:
		return r.Summary().State, "", nil
	case r.Owner == journal.OwnedByLive:
		return Pending, skipOwnerAlive, nil
	case c.sendableLater(r, reason):
		return Pending, reason, c.noteSkipped(ctx, r, reason)
	}
	now := c.clock.Now()
	change := &journal.Change{
		Key: r.Key, Kind: journal.MarkedInDoubt, Summary: lifecycle.MarkInDoubt(claimed(r, now)), At: now,
		Reason: "not safe to send again", Note: "Recover may not send it: " + reason,
	}
	change.Version = r.Summary().Version + 1
	conflict, standing, err := c.journal.Change(ctx, change)
	switch {
	case err != nil:
		c.logSkipped(r, skipJournal)
		return Pending, skipJournal, c.journalError(r, "mark it in doubt", err)
	case conflict != journal.NoConflict && standing != nil && standing.Summary().State != Pending: // another process was first
		in.learn(standing, false)
		return standing.Summary().State, "", nil
	case conflict != journal.NoConflict:
		return Pending, skipOwnerAlive, nil
	}
	in.learn(withChange(r, change), false)
	c.count(r.Operation, journal.ReasonInDoubt)
	c.tell(ctx, in, r.Operation, journal.ReasonInDoubt, c.inDoubt(withChange(r, change), errAsked))
	return InDoubt, "", nil
}

// noteSkipped logs that an intent is skipped, and adds an audit entry if the reason is
// lasting and not the one that the intent's newest such entry has.
func (c *Client) noteSkipped(ctx context.Context, r *journal.Record, reason string) error {
	c.logSkipped(r, reason)
	if !lasting(reason) || lastSkipped(r) == reason || !c.enter() {
		return nil
	}
	defer c.work.Done()
	r, err := c.journal.Get(ctx, r.Key) // a page can lack the audit entries
	if err == nil && r != nil && lastSkipped(r) != reason {
		err = c.journal.Audit(ctx, journal.AuditEntry{Key: r.Key, At: c.clock.Now(), Reason: auditSkipped, Text: reason})
	}
	if err != nil {
		return fmt.Errorf("idem: the journal could not record why an intent is skipped (%s): %w", reason, err)
	}
	return nil
}

// lastSkipped returns the reason of the newest audit entry about a skip, or "".
func lastSkipped(r *journal.Record) string {
	for _, e := range slices.Backward(r.Audit) {
		if e.Reason == auditSkipped {
			return e.Text
		}
	}
	return ""
}
