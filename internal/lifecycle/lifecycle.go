// Package lifecycle decides every state of an intent. Its functions are pure: they
// take an intent's history, the evidence of an attempt, its terms and the time, and
// return a state. They do no I/O and read no clock. No other package computes a
// state.
package lifecycle

import (
	"time"

	"github.com/idem-go/idem/journal"
)

// AttemptResult is what one attempt proved. The zero value is no result.
type AttemptResult uint8

const (
	// NotSent means that it is proven that nothing was written to the wire.
	NotSent AttemptResult = iota + 1

	// Unknown means that the attempt may have had its effect.
	Unknown

	// Done means that the attempt had its effect. Its reply is the outcome.
	Done

	// Refused means that the server refused the attempt, and it had no effect.
	Refused

	// RefusedTransient means that the server refused the attempt for a reason that can
	// pass, but not within the same call. It had no effect.
	RefusedTransient

	// RetryLater means that the server refused the attempt for a reason that can pass
	// within the same call. It had no effect.
	RetryLater

	// InFlight means that the server is executing another attempt with the same key.
	InFlight

	// Mismatch means that the server knows the key with another payload.
	Mismatch
)

// Evidence is what one attempt proved, and for which attempts it holds.
type Evidence struct {
	// Result is what the attempt proved.
	Result AttemptResult

	// Stored is true if the server marked the reply as a stored one. The server decided
	// such a reply after it looked the key up, so the result holds for every attempt
	// with the key.
	Stored bool

	// Reason is the evidence in a few words, for the history: "http 200", "timeout".
	Reason string
}

// Move is what a call does after an attempt. The zero value is no move.
type Move uint8

const (
	// MoveSettle means that the intent is settled: the summary has its final state.
	MoveSettle Move = iota + 1

	// MoveRetry means that the call makes another attempt with the same key.
	MoveRetry

	// MoveStop means that the call makes no more attempts, and the intent is not
	// settled. It is then reconciled, released or marked in doubt.
	MoveStop
)

// WindowMargin returns the time at the end of a retention in which no attempt may
// run: a tenth of the retention, at most one minute.
func WindowMargin(retention time.Duration) time.Duration {
	return min(retention/10, time.Minute)
}

// SafeUntil returns the latest time at which an attempt that takes up to attempt may
// start. It returns the zero time if retention is not positive: after an attempt that
// may have had its effect, no other may start.
func SafeUntil(st journal.Summary, retention, attempt time.Duration) time.Time {
	if retention <= 0 {
		return time.Time{}
	}
	return st.WindowStart.Add(retention - WindowMargin(retention) - attempt)
}

// MaySend reports whether an attempt may start now: until SafeUntil, or, if retention
// is not positive, as long as no attempt may have had its effect.
func MaySend(st journal.Summary, retention, attempt time.Duration, now time.Time) bool {
	if retention <= 0 {
		return !st.MayHaveExecuted
	}
	return !now.After(SafeUntil(st, retention, attempt))
}

// MayHaveBeenSent reports whether an attempt may have been written to the wire.
func MayHaveBeenSent(st journal.Summary) bool { return st.MayHaveExecuted || !st.FirstSent.IsZero() }

// After returns the summary and the move after one more attempt. st is the summary
// before the attempt, e its evidence and began the time at which it started. keepsKeys
// is true if the contract keeps keys, and more if the call may make another attempt.
//
// The state becomes Failed only if every attempt in the history is proven not sent or
// refused. After an attempt that may have had its effect (st.MayHaveExecuted), a
// refusal or an attempt that was not sent settles nothing, unless the reply is marked
// as stored.
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
		// The server returns a stored reply unchanged to every further attempt.
		if more && keepsKeys && !e.Stored {
			return st, MoveRetry
		}
	}
	return st, MoveStop
}

// MarkInDoubt returns st with the state InDoubt.
func MarkInDoubt(st journal.Summary) journal.Summary {
	st.State, st.Failure = journal.InDoubt, journal.NotFailed
	return st
}

// MaxTakeovers is the greatest number of takeovers with which an intent is not parked.
// An intent with more takeovers probably makes its owners die.
const MaxTakeovers = 5

// Parked reports whether the intent has more than MaxTakeovers takeovers. Recover does
// not send a parked intent.
func Parked(st journal.Summary) bool { return st.Takeovers > MaxTakeovers }

// MayTryParked reports whether a caller's own call may make one attempt of a parked
// intent. It is false once an owner has died after the intent was parked.
func MayTryParked(st journal.Summary) bool { return st.Takeovers <= MaxTakeovers+1 }

// Claim returns the summary after a claim at now. owner is the intent's ownership
// before it, and t its terms.
//
// A claim of a dead owner's Pending intent is a takeover. If the terms do not mark
// attempts, the dead owner may have made an attempt, and the summary says so. No other
// function draws a conclusion from an owner's death.
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
		st.WindowStart = now // nothing was sent, so the server's retention has not started
	}
	st.State, st.Failure = journal.Pending, journal.NotFailed
	return st
}

// PastRetention reports whether an intent is Failed and can no longer be sent with its
// key: the server may have dropped the key, or may still hold the refusal. The intent
// had no effect, so it is not in doubt: a successor with a new key can be created.
func PastRetention(st journal.Summary, t journal.Terms, retention, attempt time.Duration, now time.Time) bool {
	return st.State == journal.Failed && !MaySend(Claim(st, journal.Unowned, t, now), retention, attempt, now)
}

// StartAttempt returns the summary of an AttemptStarted change, which is recorded
// before an attempt that starts at now.
func StartAttempt(st journal.Summary, now time.Time) journal.Summary {
	st.MayHaveExecuted = true
	if st.FirstSent.IsZero() {
		st.FirstSent = now
	}
	return st
}

// Interrupt returns the summary after an attempt whose end was not seen, because the
// program's own code ended the run in the middle of it. It began at began.
func Interrupt(st journal.Summary, began time.Time) journal.Summary {
	st.Attempts++
	return StartAttempt(st, began)
}

// ReleaseUnsent returns the summary of a Released change at now, for an intent that
// the opener that created it gives up before any attempt. It is the first change.
func ReleaseUnsent(now time.Time) journal.Summary {
	return journal.Summary{Version: 1, State: journal.Pending, WindowStart: now}
}

// Resolve returns the summary after Policy.Reconcile, a person, or a tool's function
// that returned after its time has determined that the intent Succeeded or Failed. It
// returns st and false for any other state.
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

// ResolveAgain returns the summary after a person said that the intent had no effect,
// and is to be done by a successor.
func ResolveAgain(st journal.Summary) journal.Summary {
	st, _ = Resolve(st, journal.Failed)
	st.Failure = journal.FailedAgain
	return st
}

// FirstSent returns the time at which the first attempt started that may have been
// sent, or the zero time if none can have been. A Pending intent that another opener
// owns, alive or dead, may have been sent if its terms do not mark attempts; FirstSent
// returns the window's start then.
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

// Decision is what a call does with an intent that exists already. The zero value is
// no decision.
type Decision uint8

const (
	// DecideJoin means that the call waits for the execution in this process and gets
	// its outcome.
	DecideJoin Decision = iota + 1

	// DecideRun means that this opener owns the intent and does not execute it: the call
	// executes it.
	DecideRun

	// DecideWait means that another live opener owns the intent: the call waits.
	DecideWait

	// DecideClaim means that the call claims the intent, and then sends it, reconciles it
	// or marks it in doubt.
	DecideClaim

	// DecideReplay means that the call returns the recorded outcome.
	DecideReplay

	// DecideMismatch means that the call has another payload and is refused.
	DecideMismatch

	// DecideSupersede means that the intent had no effect: the call creates a successor
	// with a new key.
	DecideSupersede

	// DecidePruned means that the intent is settled and its outcome is pruned: the call
	// is refused.
	DecidePruned
)

// Decide returns what a call does with the recorded intent r. running is true if this
// process is executing it, and same if the call has the same payload. The owner of r
// is as this opener sees it.
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
		if st.Failure == journal.FailedAgain {
			return DecideSupersede // a person asked for it to be done
		}
		final := st.Failure == journal.FailedPermanent || st.Failure == journal.FailedByResolver
		switch {
		case final && forgotten:
			return DecidePruned
		case final:
			return DecideReplay
		case forgotten:
			return DecideSupersede // its payload is pruned, and it had no effect
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
