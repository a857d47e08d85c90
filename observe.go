package idem

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/idem-go/idem/journal"
)

// Observer is told of calls and attempts as they happen, for metrics and traces.
// Both methods return at once; they may be called from many goroutines.
type Observer interface {
	// Start is told that e begins: e.Attempt 0 is a call, 1, 2, … an attempt that it
	// makes. The context it returns is the one that goes on: into the attempts, and
	// into a tool's function.
	Start(ctx context.Context, e Event) context.Context
	// End is told how it ended, under the context that Start returned. A call that
	// executed nothing has the Reason that it is counted by (replayed, coalesced,
	// reemitted, mismatch, limit), or resolved.
	End(ctx context.Context, e Event)
}

// Event is one thing that happened to an intent: told to an Observer as it
// happens, and kept as History.
type Event struct {
	At        time.Time // journal time
	Operation Operation
	Intent    *Intent // nil where nothing was begun: a call over its limit
	Attempt   int     // 0: the call, or a change of state; 1, 2, …: that attempt
	State     State
	Status    int    // of the HTTP reply; 0: none
	Reason    string // a word or two
	Took      time.Duration
	Err       error
	Note      string // who said so, and why
}

func (c *Client) observeStart(ctx context.Context, in *Intent, attempt int) context.Context {
	if c.options.observer == nil {
		return ctx
	}
	return c.options.observer.Start(ctx, Event{
		At: c.clock.Now(), Operation: in.Operation(), Intent: in, Attempt: attempt, State: in.State(),
	})
}

func (c *Client) observeEnd(ctx context.Context, r *run, attempt int, started time.Time) {
	if c.options.observer == nil {
		return
	}
	e := Event{
		At: c.clock.Now(), Operation: r.record.Operation, Intent: r.in, Attempt: attempt, State: r.st.State,
		Status: r.last.Status, Reason: r.last.Reason, Took: time.Since(started), Err: r.last.Err,
	}
	if attempt == 0 {
		r.in.learn(r.record, r.last.Stored)
		e.Err = r.err
	}
	c.options.observer.End(ctx, e)
}

// tell tells the observer of a call that executed nothing, and why it did not. in
// is nil where nothing was begun.
func (c *Client) tell(ctx context.Context, in *Intent, op Operation, reason string, err error) {
	if c.options.observer == nil {
		return
	}
	e := Event{At: c.clock.Now(), Operation: op, Intent: in}
	if in != nil {
		e.State = in.State()
	}
	ctx = c.options.observer.Start(ctx, e)
	e.Reason, e.Err = reason, err
	c.options.observer.End(ctx, e)
}

// logSettled writes one line for a settled intent, with nothing secret in it.
func (c *Client) logSettled(rec *journal.Record, st journal.Summary, reason string) {
	if c.options.logger == nil {
		return
	}
	op := rec.Operation
	c.options.logger.LogAttrs(context.Background(), slog.LevelInfo, "idem: "+st.State.String(),
		slog.String("operation", op.Name), slog.String("scope", op.Scope), slog.String("id", op.ID),
		slog.String("key", rec.Key), slog.String("outcome", st.State.String()), slog.String("reason", reason),
		slog.Int("attempts", st.Attempts))
}

// logSkipped writes one line for an intent that Recover skips: with level WARN if people
// have to know the reason, else with level DEBUG.
func (c *Client) logSkipped(rec *journal.Record, reason string) {
	if c.options.logger == nil {
		return
	}
	level := slog.LevelDebug
	if lasting(reason) || reason == skipJournal {
		level = slog.LevelWarn
	}
	op := rec.Operation
	c.options.logger.LogAttrs(context.Background(), level, "idem: skipped by Recover",
		slog.String("operation", op.Name), slog.String("scope", op.Scope), slog.String("id", op.ID),
		slog.String("key", rec.Key), slog.String("reason", reason))
}

// count adds one to a reason of an operation; it rides in the journal's next
// write. A count that the journal would not take is lost, and nothing else is.
func (c *Client) count(op Operation, reason string) {
	c.journal.Count(context.Background(), []journal.Counter{{Operation: op.Name, Reason: reason, Count: 1, Cost: op.Cost}})
}

// historyOf is a record as events, oldest first.
func historyOf(in *Intent, r *journal.Record) []Event {
	events := []Event{{At: r.CreatedAt, Operation: r.Operation, Intent: in, State: Pending, Reason: "begun"}}
	notes := r.Audit
	for _, change := range r.Changes {
		for len(notes) > 0 && notes[0].At.Before(change.At) {
			events = append(events, noteEvent(in, r, notes[0]))
			notes = notes[1:]
		}
		for _, try := range change.NewAttempts {
			e := Event{
				At: try.At, Operation: r.Operation, Intent: in, Attempt: try.Number, State: Pending,
				Status: try.Status, Reason: try.Reason, Took: try.Took,
			}
			if try.Err != "" {
				e.Err = errors.New(try.Err)
			}
			events = append(events, e)
		}
		e := Event{
			At: change.At, Operation: r.Operation, Intent: in, State: change.State,
			Reason: change.Reason, Note: change.Note,
		}
		if change.Reply != nil {
			e.Status = change.Reply.Status
		}
		events = append(events, e)
	}
	for _, note := range notes {
		events = append(events, noteEvent(in, r, note))
	}
	return events
}

func noteEvent(in *Intent, r *journal.Record, n journal.AuditEntry) Event {
	return Event{At: n.At, Operation: r.Operation, Intent: in, State: r.Summary().State, Reason: n.Reason, Note: n.Text}
}
