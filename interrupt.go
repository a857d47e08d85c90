package idem

import (
	"errors"
	"fmt"
	"time"

	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/journal"
)

// finish ends a run. A panic of the caller's own code (Policy.Authorize, Reconcile, a
// contract's function, an Observer) goes on to the caller who started the run.
func (r *run) finish() {
	if v := recover(); v != nil {
		r.panicked = v
		r.interrupted(fmt.Errorf("the program panicked: %v", v))
	} else if !r.returned { // runtime.Goexit, such as a test's FailNow
		r.interrupted(errors.New("the program ended the goroutine that carried it out"))
	}
	r.cancel()
	r.client.mu.Lock()
	delete(r.client.runs, r.record.Key)
	r.client.mu.Unlock()
	close(r.done)
}

// interrupted records a run that the program's own code ended in the middle. What it
// sent may have had its effect: without a row, the next run would take the intent for
// one that was never sent.
func (r *run) interrupted(cause error) {
	defer func() { _ = recover() }() // the first panic is the one that is reported
	r.reply, r.again, r.err, r.last.Err = nil, false, nil, cause
	defer func() {
		if r.err == nil && r.reply == nil {
			r.err = r.client.inDoubt(r.record, cause)
		}
	}()
	const reason = "interrupted"
	switch recorded := r.record.Summary(); {
	case !r.inFlight.IsZero():
		r.tries = append(r.tries, journal.Attempt{Number: r.st.Attempts + 1, At: r.inFlight, Reason: reason})
		r.write(journal.MarkedInDoubt, lifecycle.MarkInDoubt(lifecycle.Interrupt(r.st, r.inFlight)), reason, "", nil)
	case r.st == recorded && r.fresh && recorded.Version == 0: // as Begin left it
		r.client.mu.Lock()
		r.client.idle[r.record.Key] = idleClaim{since: time.Now()}
		r.client.mu.Unlock()
	case r.st == recorded && r.record.Owner == journal.OwnedBySelf: // claimed, and nothing more
		r.write(journal.Released, r.st, reason, "", nil)
	case r.st == recorded: // nothing is left to record
	case r.st.State == Succeeded || r.st.State == Failed:
		r.outcome(journal.Settled, "", r.last.Reason)
	default:
		r.write(journal.MarkedInDoubt, lifecycle.MarkInDoubt(r.st), reason, "", nil)
	}
}
