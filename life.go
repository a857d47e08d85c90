package idem

import "time"

// This file decides every move of an intent. Its functions are pure: history,
// evidence, terms and time go in, a state comes out. Nothing else writes a state.

// finding is what one attempt proved.
type finding uint8

const (
	foundNotSent  finding = iota + 1 // positive proof that nothing was written
	foundUnknown                     // it may have had its effect
	foundDone                        // it had its effect: the first outcome
	foundRefused                     // refused, nothing happened
	foundNotNow                      // refused for a passing reason that the same call will not outlive
	foundLater                       // refused for a passing reason: ask again
	foundInFlight                    // an attempt under this key is being executed
	foundMismatch                    // the far side has other bytes under this key
)

// evidence is what one attempt left behind.
type evidence struct {
	finding finding
	stored  bool // the reply is marked as stored: it speaks for every attempt of the key
	reason  string
}

// verdictMove is what to do after an attempt.
type verdictMove uint8

const (
	moveSettle verdictMove = iota + 1 // Standing holds the final state
	moveAgain                         // send again, under the same key
	moveStop                          // sending settles nothing more: reconcile, else in doubt
)

// windowMargin is what is kept free at the end of a retention: a tenth of it, one
// minute at most.
func windowMargin(retention time.Duration) time.Duration {
	return min(retention/10, time.Minute)
}

// safeUntil is the last instant at which an attempt may start; zero: it never may
// again once one may have had its effect.
func safeUntil(st Summary, retention, attempt time.Duration) time.Time {
	if retention <= 0 {
		return time.Time{}
	}
	return st.WindowStart.Add(retention - windowMargin(retention) - attempt)
}

// maySend tells whether an attempt may start now.
func maySend(st Summary, retention, attempt time.Duration, now time.Time) bool {
	if retention <= 0 {
		return !st.MayHaveExecuted
	}
	return !now.After(safeUntil(st, retention, attempt))
}

// mayHaveReachedWire tells whether some attempt may have reached the wire.
func mayHaveReachedWire(st Summary) bool { return st.MayHaveExecuted || !st.FirstSent.IsZero() }

// after is the move after one more attempt, which began at began and left e.
// more tells whether this call may make another attempt.
//
// Failed needs every attempt of the whole history to be provably not sent or
// refused: after one that may have had its effect (st.Maybe) a refusal or a
// not-sent settles nothing, unless the reply is marked as stored.
func after(st Summary, e evidence, began time.Time, keepsKeys, more bool) (Summary, verdictMove) {
	st.Attempts++
	if e.finding != foundNotSent && st.FirstSent.IsZero() {
		st.FirstSent = began
	}
	clean := !st.MayHaveExecuted || e.stored
	failed := func(f Failure) (Summary, verdictMove) {
		st.State, st.Failure, st.MayHaveExecuted, st.Takeovers = Failed, f, false, 0
		return st, moveSettle
	}
	switch e.finding {
	case foundDone:
		st.State, st.Failure, st.Takeovers = Succeeded, NotFailed, 0
		return st, moveSettle
	case foundRefused:
		if clean {
			return failed(FailedPermanent)
		}
	case foundNotNow:
		if clean {
			return failed(FailedTransient)
		}
	case foundLater:
		switch {
		case more && (clean || keepsKeys):
			return st, moveAgain
		case clean:
			return failed(FailedTransient)
		}
	case foundNotSent:
		switch {
		case more && (clean || keepsKeys):
			return st, moveAgain
		case clean && st.FirstSent.IsZero():
			return failed(FailedNotSent)
		case clean:
			return failed(FailedTransient)
		}
	case foundMismatch:
		st.MayHaveExecuted = true
	case foundInFlight, foundUnknown:
		st.MayHaveExecuted = true
		// A stored reply stays what it is however often it is asked for.
		if more && keepsKeys && !e.stored {
			return st, moveAgain
		}
	}
	return st, moveStop
}

// markInDoubt is the standing of an intent that sending does not settle.
func markInDoubt(st Summary) Summary {
	st.State, st.Failure = InDoubt, NotFailed
	return st
}

// maxTakeovers parks an intent: so many owners died over it that the next one
// would too.
const maxTakeovers = 5

// parked reports whether too many owners died while they carried the intent out.
func parked(st Summary) bool { return st.Takeovers > maxTakeovers }

// claim is the standing after a claim. It is the only place where a dead
// owner's silence is read: without a durable mark before each attempt, Pending
// means that it may have been sent.
func claim(st Summary, owner Ownership, t Terms, now time.Time) Summary {
	if owner == OwnedByDead && st.State == Pending {
		st.Takeovers++
		if !t.MarksAttempts {
			st.MayHaveExecuted = true
			if st.FirstSent.IsZero() {
				st.FirstSent = st.WindowStart
			}
		}
	}
	if !mayHaveReachedWire(st) {
		st.WindowStart = now // nothing was sent: the far side has not begun to count
	}
	st.State, st.Failure = Pending, NotFailed
	return st
}

// pastRetention tells whether an intent that failed in passing can no longer be sent
// under its key: the far side may have forgotten that, or remember what it refused.
// Nothing had happened, so it is not in doubt either: a new link has a new key.
func pastRetention(st Summary, t Terms, retention, attempt time.Duration, now time.Time) bool {
	return st.State == Failed && !maySend(claim(st, Unowned, t, now), retention, attempt, now)
}

// startAttempt is the standing once an attempt is about to be sent, where each
// attempt is marked before it is sent.
func startAttempt(st Summary, now time.Time) Summary {
	st.MayHaveExecuted = true
	if st.FirstSent.IsZero() {
		st.FirstSent = now
	}
	return st
}

// releaseUnsent is the standing of an intent that its own opener gives up before
// it sent anything: the first change after Begin.
func releaseUnsent(now time.Time) Summary {
	return Summary{Version: 1, State: Pending, WindowStart: now}
}

// resolve is the standing after Reconcile, a person, or a tool that returned late
// said what happened. It reports false where state is no final one.
func resolve(st Summary, state State) (Summary, bool) {
	switch state {
	case Succeeded:
		st.State, st.Failure, st.Takeovers = Succeeded, NotFailed, 0
		return st, true
	case Failed:
		st.State, st.Failure, st.MayHaveExecuted, st.Takeovers = Failed, FailedByResolver, false, 0
		return st, true
	}
	return st, false
}

// firstSent is when the first attempt that may have reached the wire began; zero:
// certainly none did. An intent that another process owns may have been sent, where
// attempts are not marked.
func firstSent(r *Record) time.Time {
	st := r.Summary()
	switch {
	case !st.FirstSent.IsZero():
		return st.FirstSent
	case st.State == Pending && !r.Terms.MarksAttempts && (r.Owner == OwnedByLive || r.Owner == OwnedByDead),
		st.MayHaveExecuted:
		return st.WindowStart
	}
	return time.Time{}
}

// meeting is what a call does about an intent that is there already.
type meeting uint8

const (
	meetJoin     meeting = iota + 1 // one execution, all callers get its outcome
	meetRun                         // ours and nobody runs it: this caller does
	meetWait                        // a live other opener has it
	meetClaim                       // claim it, then send, reconcile or doubt
	meetReplay                      // hand out the recorded outcome
	meetMismatch                    // another payload under one key
	meetNewLink                     // nothing had happened: a new intent, a new key, linked
	meetForgot                      // it was settled, and its outcome is pruned
)

// meet is the table of what Begin and Do find. running tells whether this
// process is executing it, same whether the fingerprints agree.
func meet(r *Record, running, same bool) meeting {
	st := r.Summary()
	switch {
	case st.State == Failed && !same:
		return meetNewLink
	case !same:
		return meetMismatch
	case running:
		return meetJoin
	}
	forgotten := !r.PrunedAt.IsZero()
	switch st.State {
	case Succeeded:
		if forgotten {
			return meetForgot
		}
		return meetReplay
	case Failed:
		final := st.Failure == FailedPermanent || st.Failure == FailedByResolver
		switch {
		case final && forgotten:
			return meetForgot
		case final:
			return meetReplay
		case forgotten:
			return meetNewLink // its bytes are gone, and nothing had happened
		}
		return meetClaim
	}
	switch r.Owner {
	case OwnedBySelf:
		return meetRun
	case OwnedByLive:
		return meetWait
	}
	return meetClaim
}
