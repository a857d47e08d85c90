package lifecycle

import (
	"time"

	"github.com/idem-go/idem/journal"
)

// This file decides every move of an intent. Its functions are pure: history,
// evidence, terms and time go in, a state comes out. Nothing else writes a state.

// finding is what one attempt proved.
type AttemptResult uint8

const (
	NotSent          AttemptResult = iota + 1 // positive proof that nothing was written
	Unknown                                   // it may have had its effect
	Done                                      // it had its effect: the first outcome
	Refused                                   // refused, nothing happened
	RefusedTransient                          // refused for a passing reason that the same call will not outlive
	RetryLater                                // refused for a passing reason: ask again
	InFlight                                  // an attempt under this key is being executed
	Mismatch                                  // the far side has other bytes under this key
)

// evidence is what one attempt left behind.
type Evidence struct {
	Result AttemptResult
	Stored bool // the reply is marked as stored: it speaks for every attempt of the key
	Reason string
}

// verdictMove is what to do after an attempt.
type Move uint8

const (
	MoveSettle Move = iota + 1 // Standing holds the final state
	MoveRetry                  // send again, under the same key
	MoveStop                   // sending settles nothing more: reconcile, else in doubt
)

// windowMargin is what is kept free at the end of a retention: a tenth of it, one
// minute at most.
func WindowMargin(retention time.Duration) time.Duration {
	return min(retention/10, time.Minute)
}

// safeUntil is the last instant at which an attempt may start; zero: it never may
// again once one may have had its effect.
func SafeUntil(st journal.Summary, retention, attempt time.Duration) time.Time {
	if retention <= 0 {
		return time.Time{}
	}
	return st.WindowStart.Add(retention - WindowMargin(retention) - attempt)
}

// maySend tells whether an attempt may start now.
func MaySend(st journal.Summary, retention, attempt time.Duration, now time.Time) bool {
	if retention <= 0 {
		return !st.MayHaveExecuted
	}
	return !now.After(SafeUntil(st, retention, attempt))
}

// mayHaveReachedWire tells whether some attempt may have reached the wire.
func MayHaveBeenSent(st journal.Summary) bool { return st.MayHaveExecuted || !st.FirstSent.IsZero() }

// after is the move after one more attempt, which began at began and left e.
// more tells whether this call may make another attempt.
//
// Failed needs every attempt of the whole history to be provably not sent or
// refused: after one that may have had its effect (st.Maybe) a refusal or a
// not-sent settles nothing, unless the reply is marked as stored.
func After(st journal.Summary, e Evidence, began time.Time, keepsKeys, more bool) (journal.Summary, Move) {
	st.Attempts++
	if e.Result != NotSent && st.FirstSent.IsZero() {
		st.FirstSent = began
	}
	clean := !st.MayHaveExecuted || e.Stored
	failed := func(f journal.Failure) (journal.Summary, Move) {
		st.State, st.Failure, st.MayHaveExecuted, st.Takeovers = journal.Failed, f, false, 0
		return st, MoveSettle
	}
	switch e.Result {
	case Done:
		st.State, st.Failure, st.Takeovers = journal.Succeeded, journal.NotFailed, 0
		return st, MoveSettle
	case Refused:
		if clean {
			return failed(journal.FailedPermanent)
		}
	case RefusedTransient:
		if clean {
			return failed(journal.FailedTransient)
		}
	case RetryLater:
		switch {
		case more && (clean || keepsKeys):
			return st, MoveRetry
		case clean:
			return failed(journal.FailedTransient)
		}
	case NotSent:
		switch {
		case more && (clean || keepsKeys):
			return st, MoveRetry
		case clean && st.FirstSent.IsZero():
			return failed(journal.FailedNotSent)
		case clean:
			return failed(journal.FailedTransient)
		}
	case Mismatch:
		st.MayHaveExecuted = true
	case InFlight, Unknown:
		st.MayHaveExecuted = true
		// A stored reply stays what it is however often it is asked for.
		if more && keepsKeys && !e.Stored {
			return st, MoveRetry
		}
	}
	return st, MoveStop
}

// markInDoubt is the standing of an intent that sending does not settle.
func MarkInDoubt(st journal.Summary) journal.Summary {
	st.State, st.Failure = journal.InDoubt, journal.NotFailed
	return st
}

// MaxTakeovers parks an intent: so many owners died over it that the next one
// would too.
const MaxTakeovers = 5

// parked reports whether too many owners died while they carried the intent out.
func Parked(st journal.Summary) bool { return st.Takeovers > MaxTakeovers }

// claim is the standing after a claim. It is the only place where a dead
// owner's silence is read: without a durable mark before each attempt, Pending
// means that it may have been sent.
func Claim(st journal.Summary, owner journal.Ownership, t journal.Terms, now time.Time) journal.Summary {
	if owner == journal.OwnedByDead && st.State == journal.Pending {
		st.Takeovers++
		if !t.MarksAttempts {
			st.MayHaveExecuted = true
			if st.FirstSent.IsZero() {
				st.FirstSent = st.WindowStart
			}
		}
	}
	if !MayHaveBeenSent(st) {
		st.WindowStart = now // nothing was sent: the far side has not begun to count
	}
	st.State, st.Failure = journal.Pending, journal.NotFailed
	return st
}

// pastRetention tells whether an intent that failed in passing can no longer be sent
// under its key: the far side may have forgotten that, or remember what it refused.
// Nothing had happened, so it is not in doubt either: a new link has a new key.
func PastRetention(st journal.Summary, t journal.Terms, retention, attempt time.Duration, now time.Time) bool {
	return st.State == journal.Failed && !MaySend(Claim(st, journal.Unowned, t, now), retention, attempt, now)
}

// startAttempt is the standing once an attempt is about to be sent, where each
// attempt is marked before it is sent.
func StartAttempt(st journal.Summary, now time.Time) journal.Summary {
	st.MayHaveExecuted = true
	if st.FirstSent.IsZero() {
		st.FirstSent = now
	}
	return st
}

// releaseUnsent is the standing of an intent that its own opener gives up before
// it sent anything: the first change after Begin.
func ReleaseUnsent(now time.Time) journal.Summary {
	return journal.Summary{Version: 1, State: journal.Pending, WindowStart: now}
}

// resolve is the standing after Reconcile, a person, or a tool that returned late
// said what happened. It reports false where state is no final one.
func Resolve(st journal.Summary, state journal.State) (journal.Summary, bool) {
	switch state {
	case journal.Succeeded:
		st.State, st.Failure, st.Takeovers = journal.Succeeded, journal.NotFailed, 0
		return st, true
	case journal.Failed:
		st.State, st.Failure, st.MayHaveExecuted, st.Takeovers = journal.Failed, journal.FailedByResolver, false, 0
		return st, true
	}
	return st, false
}

// firstSent is when the first attempt that may have reached the wire began; zero:
// certainly none did. An intent that another process owns may have been sent, where
// attempts are not marked.
func FirstSent(r *journal.Record) time.Time {
	st := r.Summary()
	switch {
	case !st.FirstSent.IsZero():
		return st.FirstSent
	case st.State == journal.Pending && !r.Terms.MarksAttempts && (r.Owner == journal.OwnedByLive || r.Owner == journal.OwnedByDead),
		st.MayHaveExecuted:
		return st.WindowStart
	}
	return time.Time{}
}

// meeting is what a call does about an intent that is there already.
type Decision uint8

const (
	DecideJoin      Decision = iota + 1 // one execution, all callers get its outcome
	DecideRun                           // ours and nobody runs it: this caller does
	DecideWait                          // a live other opener has it
	DecideClaim                         // claim it, then send, reconcile or doubt
	DecideReplay                        // hand out the recorded outcome
	DecideMismatch                      // another payload under one key
	DecideSupersede                     // nothing had happened: a new intent, a new key, linked
	DecidePruned                        // it was settled, and its outcome is pruned
)

// meet is the table of what Begin and Do find. running tells whether this
// process is executing it, same whether the fingerprints agree.
func Decide(r *journal.Record, running, same bool) Decision {
	st := r.Summary()
	switch {
	case st.State == journal.Failed && !same:
		return DecideSupersede
	case !same:
		return DecideMismatch
	case running:
		return DecideJoin
	}
	forgotten := !r.PrunedAt.IsZero()
	switch st.State {
	case journal.Succeeded:
		if forgotten {
			return DecidePruned
		}
		return DecideReplay
	case journal.Failed:
		final := st.Failure == journal.FailedPermanent || st.Failure == journal.FailedByResolver
		switch {
		case final && forgotten:
			return DecidePruned
		case final:
			return DecideReplay
		case forgotten:
			return DecideSupersede // its bytes are gone, and nothing had happened
		}
		return DecideClaim
	}
	switch r.Owner {
	case journal.OwnedBySelf:
		return DecideRun
	case journal.OwnedByLive:
		return DecideWait
	}
	return DecideClaim
}
