package lifecycle_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/journal"
)

// TestMeet is the table of decisions: state, owner and payload of a recorded intent,
// and what a call does with it.
func TestMeet(t *testing.T) {
	t.Parallel()
	const here, alive, dead, nobody = journal.OwnedBySelf, journal.OwnedByLive, journal.OwnedByDead, journal.Unowned
	for _, c := range []struct {
		state     journal.State
		failure   journal.Failure
		owner     journal.Ownership
		running   bool
		forgotten bool
		same      lifecycle.Decision
		other     lifecycle.Decision
	}{
		{journal.Pending, 0, here, true, false, lifecycle.DecideJoin, lifecycle.DecideMismatch},
		{journal.Pending, 0, here, false, false, lifecycle.DecideRun, lifecycle.DecideMismatch},
		{journal.Pending, 0, alive, false, false, lifecycle.DecideWait, lifecycle.DecideMismatch},
		{journal.Pending, 0, dead, false, false, lifecycle.DecideClaim, lifecycle.DecideMismatch},
		{journal.Pending, 0, nobody, false, false, lifecycle.DecideClaim, lifecycle.DecideMismatch},
		{journal.Succeeded, 0, nobody, false, false, lifecycle.DecideReplay, lifecycle.DecideMismatch},
		{journal.Succeeded, 0, nobody, false, true, lifecycle.DecidePruned, lifecycle.DecideMismatch},
		{journal.Failed, journal.FailedNotSent, nobody, false, false, lifecycle.DecideClaim, lifecycle.DecideSupersede},
		{journal.Failed, journal.FailedTransient, nobody, false, false, lifecycle.DecideClaim, lifecycle.DecideSupersede},
		{journal.Failed, journal.FailedPermanent, nobody, false, false, lifecycle.DecideReplay, lifecycle.DecideSupersede},
		{journal.Failed, journal.FailedByResolver, nobody, false, false, lifecycle.DecideReplay, lifecycle.DecideSupersede},
		{journal.Failed, journal.FailedNotSent, nobody, false, true, lifecycle.DecideSupersede, lifecycle.DecideSupersede},
		{journal.Failed, journal.FailedTransient, nobody, false, true, lifecycle.DecideSupersede, lifecycle.DecideSupersede},
		{journal.Failed, journal.FailedPermanent, nobody, false, true, lifecycle.DecidePruned, lifecycle.DecideSupersede},
		{journal.Failed, journal.FailedByResolver, nobody, false, true, lifecycle.DecidePruned, lifecycle.DecideSupersede},
		{journal.InDoubt, 0, nobody, false, false, lifecycle.DecideClaim, lifecycle.DecideMismatch},
	} {
		t.Run(fmt.Sprintf("%v/%v/%v/running=%v/forgotten=%v", c.state, c.failure, c.owner, c.running, c.forgotten), func(t *testing.T) {
			t.Parallel()
			r := &journal.Record{Owner: c.owner, Changes: []journal.Change{{Summary: journal.Summary{Version: 1, State: c.state, Failure: c.failure}}}}
			if c.forgotten {
				r.PrunedAt = at(0)
			}
			require.Equal(t, c.same, lifecycle.Decide(r, c.running, true))
			require.Equal(t, c.other, lifecycle.Decide(r, c.running, false))
		})
	}
}

// TestLifeProperties walks random histories of attempts, claims and calls, and
// compares each summary with a list of all steps. An intent is Failed only if every
// attempt of its history, those that a dead owner may have made included, is proven
// not sent or refused, or a stored reply holds for all of them. Without a contract, an
// intent that may have been sent is never sent again. Only a settled state is final,
// and a window never moves after an attempt that may have been sent.
func TestLifeProperties(t *testing.T) {
	t.Parallel()
	const histories = 20_000
	seed := [2]uint64{20, 26}
	t.Logf("%d histories with seed %v", histories, seed)
	random := rand.New(rand.NewPCG(seed[0], seed[1]))
	reached := map[journal.State]int{}
	for range histories {
		h := &randomHistory{t: t, random: random, st: begun(), keeps: random.IntN(2) == 0}
		h.terms.MarksAttempts = !h.keeps
		for range 1 + random.IntN(12) {
			if h.st.State == journal.Succeeded {
				break
			}
			h.step()
		}
		reached[h.st.State]++
	}
	for _, state := range []journal.State{journal.Pending, journal.Succeeded, journal.Failed, journal.InDoubt} {
		require.NotZero(t, reached[state], "no history ended %v", state)
	}
}

type randomHistory struct {
	t      *testing.T
	random *rand.Rand
	keeps  bool // the contract keeps keys
	terms  journal.Terms
	clock  int

	st       journal.Summary
	done     []string // all steps, for the message
	unproven int      // attempts, and takeovers, that may have had an effect
	reached  int      // attempts that are not proven unsent
	attempts int
}

// step claims the intent or makes an attempt.
func (h *randomHistory) step() {
	h.clock++
	before := h.st
	open := before.State == journal.Pending
	if !open || h.random.IntN(4) == 0 {
		if !open && (before.Failure == journal.FailedPermanent) {
			return
		}
		h.claim(open)
		return
	}
	if !lifecycle.MaySend(before, h.retention(), time.Second, at(h.clock)) {
		require.False(h.t, h.keeps, "%v", h.done) // a history takes less than the hour of retention
		require.True(h.t, before.MayHaveExecuted, "%v: not sent although nothing can have been sent", h.done)
		h.st.State = journal.InDoubt
		return
	}
	require.False(h.t, !h.keeps && h.unproven > 0, "%v: sent again without a contract", h.done)
	h.attempt()
}

func (h *randomHistory) retention() time.Duration {
	if h.keeps {
		return time.Hour
	}
	return 0
}

// claim claims the intent after a release, or from an owner that died.
func (h *randomHistory) claim(open bool) {
	before, owner := h.st, journal.Unowned
	if open && h.random.IntN(2) == 0 {
		owner = journal.OwnedByDead
	}
	h.st = lifecycle.Claim(before, owner, h.terms, at(h.clock))
	if owner == journal.OwnedByDead && !h.terms.MarksAttempts {
		h.unproven++ // the dead owner may have made an attempt
		h.reached++
	}
	h.note(fmt.Sprintf("claimed from %v", owner))
	require.Equal(h.t, journal.Pending, h.st.State)
	require.Equal(h.t, h.unproven > 0, h.st.MayHaveExecuted, "%v", h.done)
	if h.reached > 0 {
		require.Equal(h.t, before.WindowStart, h.st.WindowStart, "%v: the window was moved", h.done)
	} else {
		require.Equal(h.t, at(h.clock), h.st.WindowStart, "%v: nothing was sent, so the window begins now", h.done)
	}
}

func (h *randomHistory) attempt() {
	before := h.st
	a := attempt{found: lifecycle.AttemptResult(1 + h.random.IntN(8))}
	a.stored = a.found != lifecycle.NotSent && h.random.IntN(8) == 0
	more := h.random.IntN(3) > 0
	st, move := lifecycle.After(before, lifecycle.Evidence{Result: a.found, Stored: a.stored}, at(h.clock), h.keeps, more)
	h.attempts++
	harmless := a.found == lifecycle.NotSent || a.found == lifecycle.Refused || a.found == lifecycle.RefusedTransient || a.found == lifecycle.RetryLater
	if !harmless && a.found != lifecycle.Done {
		h.unproven++
	}
	if a.found != lifecycle.NotSent {
		h.reached++
	}
	h.st = st
	h.note(a.String())

	require.Equal(h.t, h.attempts, st.Attempts)
	require.Equal(h.t, move == lifecycle.MoveSettle, st.State == journal.Succeeded || st.State == journal.Failed, "%v", h.done)
	require.Equal(h.t, a.found == lifecycle.Done, st.State == journal.Succeeded, "%v", h.done)
	require.Equal(h.t, before.WindowStart, st.WindowStart, "%v", h.done)
	if !before.FirstSent.IsZero() {
		require.Equal(h.t, before.FirstSent, st.FirstSent, "%v", h.done)
	}
	switch {
	case st.State == journal.Failed:
		require.True(h.t, harmless, "%v", h.done)
		require.True(h.t, h.unproven == 0 || a.stored, "%v: it failed, although something may have happened", h.done)
		require.False(h.t, st.MayHaveExecuted, "%v", h.done)
		require.Equal(h.t, h.reached == 0, st.Failure == journal.FailedNotSent, "%v", h.done)
		h.unproven = 0 // every attempt is proven to have had no effect
	case move == lifecycle.MoveRetry:
		require.True(h.t, more, "%v", h.done)
		require.False(h.t, !h.keeps && h.unproven > 0 && !a.stored, "%v: again without a contract", h.done)
	case move == lifecycle.MoveStop:
		require.True(h.t, st.MayHaveExecuted, "%v: given up, although nothing can have happened", h.done)
		h.st.State = journal.InDoubt
	}
}

func (h *randomHistory) note(what string) {
	h.done = append(h.done, fmt.Sprintf("%s: %v maybe=%v", what, h.st.State, h.st.MayHaveExecuted))
}
