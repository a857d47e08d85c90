package idem_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// TestMeet is the table of what Begin and Do find, in the pure function.
func TestMeet(t *testing.T) {
	t.Parallel()
	const here, alive, dead, nobody = idem.OwnedBySelf, idem.OwnedByLive, idem.OwnedByDead, idem.Unowned
	for _, c := range []struct {
		state     idem.State
		failure   idem.Failure
		owner     idem.Ownership
		running   bool
		forgotten bool
		same      idem.Meeting
		other     idem.Meeting
	}{
		{idem.Pending, 0, here, true, false, idem.MeetJoin, idem.MeetMismatch},
		{idem.Pending, 0, here, false, false, idem.MeetRun, idem.MeetMismatch},
		{idem.Pending, 0, alive, false, false, idem.MeetWait, idem.MeetMismatch},
		{idem.Pending, 0, dead, false, false, idem.MeetClaim, idem.MeetMismatch},
		{idem.Pending, 0, nobody, false, false, idem.MeetClaim, idem.MeetMismatch},
		{idem.Succeeded, 0, nobody, false, false, idem.MeetReplay, idem.MeetMismatch},
		{idem.Succeeded, 0, nobody, false, true, idem.MeetForgot, idem.MeetMismatch},
		{idem.Failed, idem.FailedNotSent, nobody, false, false, idem.MeetClaim, idem.MeetNewLink},
		{idem.Failed, idem.FailedTransient, nobody, false, false, idem.MeetClaim, idem.MeetNewLink},
		{idem.Failed, idem.FailedPermanent, nobody, false, false, idem.MeetReplay, idem.MeetNewLink},
		{idem.Failed, idem.FailedByResolver, nobody, false, false, idem.MeetReplay, idem.MeetNewLink},
		{idem.Failed, idem.FailedNotSent, nobody, false, true, idem.MeetNewLink, idem.MeetNewLink},
		{idem.Failed, idem.FailedTransient, nobody, false, true, idem.MeetNewLink, idem.MeetNewLink},
		{idem.Failed, idem.FailedPermanent, nobody, false, true, idem.MeetForgot, idem.MeetNewLink},
		{idem.Failed, idem.FailedByResolver, nobody, false, true, idem.MeetForgot, idem.MeetNewLink},
		{idem.InDoubt, 0, nobody, false, false, idem.MeetClaim, idem.MeetMismatch},
	} {
		t.Run(fmt.Sprintf("%v/%v/%v/running=%v/forgotten=%v", c.state, c.failure, c.owner, c.running, c.forgotten), func(t *testing.T) {
			t.Parallel()
			r := &idem.Record{Owner: c.owner, Changes: []idem.Change{{Summary: idem.Summary{Version: 1, State: c.state, Failure: c.failure}}}}
			if c.forgotten {
				r.PrunedAt = at(0)
			}
			require.Equal(t, c.same, idem.Meet(r, c.running, true))
			require.Equal(t, c.other, idem.Meet(r, c.running, false))
		})
	}
}

// TestLifeProperties walks random histories of attempts, claims and calls, and
// compares each standing with what a list of all that was done allows. Failed
// means that nothing happened: every attempt of the whole history, those a dead
// owner may have made included, was provably not sent or refused, or a stored
// reply spoke for all of them. Without a contract, what might have been sent is
// never sent again. Only a settled state is final, and nothing moves a window
// once something may have been sent.
func TestLifeProperties(t *testing.T) {
	t.Parallel()
	const histories = 20_000
	seed := [2]uint64{20, 26}
	t.Logf("%d histories with seed %v", histories, seed)
	random := rand.New(rand.NewPCG(seed[0], seed[1]))
	reached := map[idem.State]int{}
	for range histories {
		h := &randomHistory{t: t, random: random, st: begun(), keeps: random.IntN(2) == 0}
		h.terms.MarksAttempts = !h.keeps
		for range 1 + random.IntN(12) {
			if h.st.State == idem.Succeeded {
				break
			}
			h.step()
		}
		reached[h.st.State]++
	}
	for _, state := range []idem.State{idem.Pending, idem.Succeeded, idem.Failed, idem.InDoubt} {
		require.NotZero(t, reached[state], "no history ended %v", state)
	}
}

type randomHistory struct {
	t      *testing.T
	random *rand.Rand
	keeps  bool // the far side keeps keys
	terms  idem.Terms
	clock  int

	st       idem.Summary
	done     []string // everything, for the message
	unproven int      // attempts, and silences of dead owners, that may have had their effect
	reached  int      // attempts that were not proven unsent
	attempts int
}

// step is a claim, by whoever finds the intent, or an attempt.
func (h *randomHistory) step() {
	h.clock++
	before := h.st
	open := before.State == idem.Pending
	if !open || h.random.IntN(4) == 0 {
		if !open && (before.Failure == idem.FailedPermanent) {
			return
		}
		h.claim(open)
		return
	}
	if !before.MaySend(h.retention(), time.Second, at(h.clock)) {
		require.False(h.t, h.keeps, "%v", h.done) // an hour is never over here
		require.True(h.t, before.MayHaveExecuted, "%v: not sent although nothing can have been sent", h.done)
		h.st.State = idem.InDoubt
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

// claim is by the owner itself, after a release, or by one that found it dead.
func (h *randomHistory) claim(open bool) {
	before, owner := h.st, idem.Unowned
	if open && h.random.IntN(2) == 0 {
		owner = idem.OwnedByDead
	}
	h.st = before.Claimed(owner, h.terms, at(h.clock))
	if owner == idem.OwnedByDead && !h.terms.MarksAttempts {
		h.unproven++ // its silence proves nothing
		h.reached++
	}
	h.note(fmt.Sprintf("claimed from %v", owner))
	require.Equal(h.t, idem.Pending, h.st.State)
	require.Equal(h.t, h.unproven > 0, h.st.MayHaveExecuted, "%v", h.done)
	if h.reached > 0 {
		require.Equal(h.t, before.WindowStart, h.st.WindowStart, "%v: the window was moved", h.done)
	} else {
		require.Equal(h.t, at(h.clock), h.st.WindowStart, "%v: nothing was sent, so the window begins now", h.done)
	}
}

func (h *randomHistory) attempt() {
	before := h.st
	a := attempt{found: idem.Finding(1 + h.random.IntN(8))}
	a.stored = a.found != idem.FoundNotSent && h.random.IntN(8) == 0
	more := h.random.IntN(3) > 0
	st, move := before.After(a.found, a.stored, at(h.clock), h.keeps, more)
	h.attempts++
	harmless := a.found == idem.FoundNotSent || a.found == idem.FoundRefused || a.found == idem.FoundNotNow || a.found == idem.FoundLater
	if !harmless && a.found != idem.FoundDone {
		h.unproven++
	}
	if a.found != idem.FoundNotSent {
		h.reached++
	}
	h.st = st
	h.note(a.String())

	require.Equal(h.t, h.attempts, st.Attempts)
	require.Equal(h.t, move == idem.MoveSettle, st.State == idem.Succeeded || st.State == idem.Failed, "%v", h.done)
	require.Equal(h.t, a.found == idem.FoundDone, st.State == idem.Succeeded, "%v", h.done)
	require.Equal(h.t, before.WindowStart, st.WindowStart, "%v", h.done)
	if !before.FirstSent.IsZero() {
		require.Equal(h.t, before.FirstSent, st.FirstSent, "%v", h.done)
	}
	switch {
	case st.State == idem.Failed:
		require.True(h.t, harmless, "%v", h.done)
		require.True(h.t, h.unproven == 0 || a.stored, "%v: it failed, although something may have happened", h.done)
		require.False(h.t, st.MayHaveExecuted, "%v", h.done)
		require.Equal(h.t, h.reached == 0, st.Failure == idem.FailedNotSent, "%v", h.done)
		h.unproven = 0 // proven to have done nothing
	case move == idem.MoveAgain:
		require.True(h.t, more, "%v", h.done)
		require.False(h.t, !h.keeps && h.unproven > 0 && !a.stored, "%v: again without a contract", h.done)
	case move == idem.MoveStop:
		require.True(h.t, st.MayHaveExecuted, "%v: given up, although nothing can have happened", h.done)
		h.st.State = idem.InDoubt
	}
}

func (h *randomHistory) note(what string) {
	h.done = append(h.done, fmt.Sprintf("%s: %v maybe=%v", what, h.st.State, h.st.MayHaveExecuted))
}
