package idem_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// These tests are of the pure functions that decide every move. Which of the
// promises they are about: Failed means that nothing happened; what might have
// been sent is never sent again without a contract; a key is sent only inside its
// window.

// at is an instant of journal time.
func at(seconds int) time.Time { return time.Unix(1_700_000_000+int64(seconds), 0).UTC() }

// attempt is one attempt of a history: what it found and whether its reply was
// marked as a stored one.
type attempt struct {
	found  idem.Finding
	stored bool
}

var findingNames = map[idem.Finding]string{
	idem.FoundNotSent: "not sent", idem.FoundUnknown: "unknown", idem.FoundDone: "done", idem.FoundRefused: "refused",
	idem.FoundNotNow: "not now", idem.FoundLater: "later", idem.FoundInFlight: "in flight", idem.FoundMismatch: "mismatch",
}

func (a attempt) String() string {
	if a.stored {
		return "stored " + findingNames[a.found]
	}
	return findingNames[a.found]
}

func plainly(found ...idem.Finding) (history []attempt) {
	for _, f := range found {
		history = append(history, attempt{found: f})
	}
	return history
}

func storedly(f idem.Finding) attempt { return attempt{found: f, stored: true} }

// begun is where an intent stands that nothing was done about yet.
func begun() idem.Summary { return idem.Summary{State: idem.Pending, WindowStart: at(0)} }

// TestAfter is the whole table of moves: what an attempt proves after a history in
// which nothing can have happened, and after one in which something may have.
func TestAfter(t *testing.T) {
	t.Parallel()
	const settle, again, stop = idem.MoveSettle, idem.MoveAgain, idem.MoveStop
	type want struct {
		move    idem.Move
		state   idem.State
		failure idem.Failure
		maybe   bool
	}
	done := want{settle, idem.Succeeded, idem.NotFailed, false}
	doneMaybe := want{settle, idem.Succeeded, idem.NotFailed, true}
	forGood := want{settle, idem.Failed, idem.FailedPermanent, false}
	forNow := want{settle, idem.Failed, idem.FailedTransient, false}
	unsent := want{settle, idem.Failed, idem.FailedNotSent, false}
	retry := want{again, idem.Pending, idem.NotFailed, false}
	retryMaybe := want{again, idem.Pending, idem.NotFailed, true}
	doubt := want{stop, idem.Pending, idem.NotFailed, true}

	// For each last attempt: with keys kept and more attempts left, kept and none
	// left, not kept and more, not kept and none.
	clean := map[attempt][4]want{
		{idem.FoundDone, false}:     {done, done, done, done},
		{idem.FoundRefused, false}:  {forGood, forGood, forGood, forGood},
		{idem.FoundNotNow, false}:   {forNow, forNow, forNow, forNow},
		{idem.FoundLater, false}:    {retry, forNow, retry, forNow},
		{idem.FoundNotSent, false}:  {retry, unsent, retry, unsent},
		{idem.FoundUnknown, false}:  {retryMaybe, doubt, doubt, doubt},
		{idem.FoundInFlight, false}: {retryMaybe, doubt, doubt, doubt},
		{idem.FoundMismatch, false}: {doubt, doubt, doubt, doubt},
		{idem.FoundDone, true}:      {done, done, done, done},
		{idem.FoundRefused, true}:   {forGood, forGood, forGood, forGood},
		{idem.FoundNotNow, true}:    {forNow, forNow, forNow, forNow},
		{idem.FoundLater, true}:     {retry, forNow, retry, forNow},
		{idem.FoundUnknown, true}:   {doubt, doubt, doubt, doubt}, // a stored 500 says the same each time
		{idem.FoundInFlight, true}:  {doubt, doubt, doubt, doubt},
		{idem.FoundMismatch, true}:  {doubt, doubt, doubt, doubt},
	}
	unclean := map[attempt][4]want{
		{idem.FoundDone, false}:     {doneMaybe, doneMaybe, doneMaybe, doneMaybe},
		{idem.FoundRefused, false}:  {doubt, doubt, doubt, doubt},
		{idem.FoundNotNow, false}:   {doubt, doubt, doubt, doubt},
		{idem.FoundLater, false}:    {retryMaybe, doubt, doubt, doubt},
		{idem.FoundNotSent, false}:  {retryMaybe, doubt, doubt, doubt},
		{idem.FoundUnknown, false}:  {retryMaybe, doubt, doubt, doubt},
		{idem.FoundInFlight, false}: {retryMaybe, doubt, doubt, doubt},
		{idem.FoundMismatch, false}: {doubt, doubt, doubt, doubt},
		{idem.FoundDone, true}:      {doneMaybe, doneMaybe, doneMaybe, doneMaybe},
		{idem.FoundRefused, true}:   {forGood, forGood, forGood, forGood},
		{idem.FoundNotNow, true}:    {forNow, forNow, forNow, forNow},
		{idem.FoundLater, true}:     {retryMaybe, forNow, retryMaybe, forNow},
		{idem.FoundUnknown, true}:   {doubt, doubt, doubt, doubt},
		{idem.FoundInFlight, true}:  {doubt, doubt, doubt, doubt},
		{idem.FoundMismatch, true}:  {doubt, doubt, doubt, doubt},
	}
	for name, table := range map[string]map[attempt][4]want{"clean": clean, "unclean": unclean} {
		for last, cells := range table {
			for i, w := range cells {
				keeps, more := i < 2, i%2 == 0
				t.Run(fmt.Sprintf("%s/%v/keeps=%v/more=%v", name, last, keeps, more), func(t *testing.T) {
					t.Parallel()
					before := begun()
					if name == "unclean" {
						before, _ = before.After(idem.FoundUnknown, false, at(1), true, true)
						require.True(t, before.MayHaveExecuted)
					}
					st, move := before.After(last.found, last.stored, at(9), keeps, more)
					require.Equal(t, w, want{move, st.State, st.Failure, st.MayHaveExecuted})
					require.Equal(t, before.Attempts+1, st.Attempts)
					switch {
					case name == "unclean":
						require.Equal(t, at(1), st.FirstSent, "the first attempt stays the first")
					case last.found == idem.FoundNotSent:
						require.Zero(t, st.FirstSent)
					default:
						require.Equal(t, at(9), st.FirstSent)
					}
					require.Equal(t, before.WindowStart, st.WindowStart, "an attempt does not move the window")
				})
			}
		}
	}
}

// TestAfterHistories walks whole histories, with keys kept and the last attempt
// the last one that may be made. Failed means that nothing happened: one attempt
// that may have had its effect keeps a later refusal from proving anything.
func TestAfterHistories(t *testing.T) {
	t.Parallel()
	const pending, succeeded, failed = idem.Pending, idem.Succeeded, idem.Failed
	for _, c := range []struct {
		history []attempt
		state   idem.State
		failure idem.Failure
	}{
		{plainly(idem.FoundNotSent, idem.FoundNotSent, idem.FoundNotSent), failed, idem.FailedNotSent},
		{plainly(idem.FoundNotSent, idem.FoundRefused), failed, idem.FailedPermanent},
		{plainly(idem.FoundLater, idem.FoundNotSent), failed, idem.FailedTransient},
		{plainly(idem.FoundLater, idem.FoundNotSent, idem.FoundRefused), failed, idem.FailedPermanent},
		{plainly(idem.FoundLater, idem.FoundLater, idem.FoundLater), failed, idem.FailedTransient},
		{plainly(idem.FoundLater, idem.FoundNotNow), failed, idem.FailedTransient},
		{plainly(idem.FoundUnknown, idem.FoundRefused), pending, idem.NotFailed},
		{plainly(idem.FoundUnknown, idem.FoundNotNow), pending, idem.NotFailed},
		{plainly(idem.FoundUnknown, idem.FoundLater), pending, idem.NotFailed},
		{plainly(idem.FoundUnknown, idem.FoundNotSent), pending, idem.NotFailed},
		{plainly(idem.FoundLater, idem.FoundUnknown, idem.FoundNotSent, idem.FoundRefused), pending, idem.NotFailed},
		{plainly(idem.FoundInFlight, idem.FoundRefused), pending, idem.NotFailed},
		{plainly(idem.FoundMismatch), pending, idem.NotFailed},
		{plainly(idem.FoundUnknown, idem.FoundUnknown, idem.FoundDone), succeeded, idem.NotFailed},
		{plainly(idem.FoundInFlight, idem.FoundInFlight, idem.FoundDone), succeeded, idem.NotFailed},
		{append(plainly(idem.FoundUnknown), storedly(idem.FoundRefused)), failed, idem.FailedPermanent},
		{append(plainly(idem.FoundUnknown, idem.FoundInFlight), storedly(idem.FoundNotNow)), failed, idem.FailedTransient},
		{append(plainly(idem.FoundUnknown), storedly(idem.FoundUnknown)), pending, idem.NotFailed},
		{append(plainly(idem.FoundUnknown), storedly(idem.FoundDone)), succeeded, idem.NotFailed},
	} {
		t.Run(fmt.Sprint(c.history), func(t *testing.T) {
			t.Parallel()
			st := begun()
			var move idem.Move
			for i, a := range c.history {
				st, move = st.After(a.found, a.stored, at(i+1), true, i+1 < len(c.history))
				if i+1 < len(c.history) {
					require.Equal(t, idem.MoveAgain, move, "after %v", a)
				}
			}
			require.Equal(t, c.state, st.State)
			require.Equal(t, c.failure, st.Failure)
			require.Equal(t, len(c.history), st.Attempts)
			if c.state == pending {
				require.Equal(t, idem.MoveStop, move)
			}
		})
	}
}

// TestClaimed: a take-over without proof counts as an attempt that may have had
// its effect, and the window moves only while nothing was sent.
func TestClaimed(t *testing.T) {
	t.Parallel()
	kept, marked := idem.Terms{}, idem.Terms{MarksAttempts: true}
	sent := begun()
	sent.FirstSent, sent.MayHaveExecuted = at(5), true
	refused := begun()
	refused.State, refused.Failure, refused.FirstSent = idem.Failed, idem.FailedTransient, at(5)
	unsent := begun()
	unsent.State, unsent.Failure, unsent.Attempts = idem.Failed, idem.FailedNotSent, 4
	doubted := sent
	doubted.State = idem.InDoubt
	for _, c := range []struct {
		name              string
		before            idem.Summary
		owner             idem.Ownership
		terms             idem.Terms
		maybe             bool
		firstSent, window time.Time
		takeovers         int
	}{
		{"ours", begun(), idem.OwnedBySelf, kept, false, time.Time{}, at(60), 0},
		{"released", begun(), idem.Unowned, kept, false, time.Time{}, at(60), 0},
		{"dead, no mark needed", begun(), idem.OwnedByDead, kept, true, at(0), at(0), 1},
		{"dead, not marked", begun(), idem.OwnedByDead, marked, false, time.Time{}, at(60), 1},
		{"dead, marked", sent, idem.OwnedByDead, marked, true, at(5), at(0), 1},
		{"dead, sent", sent, idem.OwnedByDead, kept, true, at(5), at(0), 1},
		{"released after sending", sent, idem.Unowned, kept, true, at(5), at(0), 0},
		{"in doubt", doubted, idem.Unowned, kept, true, at(5), at(0), 0},
		{"failed, never sent", unsent, idem.Unowned, kept, false, time.Time{}, at(60), 0},
		{"failed for now", refused, idem.Unowned, kept, false, at(5), at(0), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			st := c.before.Claimed(c.owner, c.terms, at(60))
			require.Equal(t, idem.Pending, st.State)
			require.Equal(t, idem.NotFailed, st.Failure)
			require.Equal(t, c.maybe, st.MayHaveExecuted)
			require.Equal(t, c.firstSent, st.FirstSent)
			require.Equal(t, c.window, st.WindowStart)
			require.Equal(t, c.takeovers, st.Takeovers)
		})
	}
}

// TestTakeoversAreCounted until something is settled, and not longer.
func TestTakeoversAreCounted(t *testing.T) {
	t.Parallel()
	st := begun()
	for i := range idem.MaxTakeovers + 1 {
		st = st.Claimed(idem.OwnedByDead, idem.Terms{}, at(i))
		require.Equal(t, i+1, st.Takeovers)
	}
	settled, _ := st.After(idem.FoundDone, false, at(60), true, true)
	require.Zero(t, settled.Takeovers)
	settled, _ = st.After(idem.FoundRefused, true, at(60), true, true)
	require.Equal(t, idem.Failed, settled.State)
	require.Zero(t, settled.Takeovers)
	again, _ := st.After(idem.FoundUnknown, false, at(60), true, true)
	require.Equal(t, idem.MaxTakeovers+1, again.Takeovers)
}

// TestMaySend: a key is sent only while one attempt and a margin fit into what is
// left of the far side's retention; without a contract, only while nothing can
// have been sent.
func TestMaySend(t *testing.T) {
	t.Parallel()
	const minute = time.Minute
	st := begun()
	for _, c := range []struct {
		name               string
		retention, attempt time.Duration
		last               time.Duration // after the window's start
	}{
		{"a day, margin a minute", 24 * time.Hour, minute, 24*time.Hour - 2*minute},
		{"five minutes, margin a tenth", 5 * minute, minute, 5*minute - minute - 30*time.Second},
		{"one minute", minute, 10 * time.Second, 44 * time.Second},
		{"just fits", minute, 54 * time.Second, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			last := at(0).Add(c.last)
			require.Equal(t, last, st.SafeUntil(c.retention, c.attempt))
			require.True(t, st.MaySend(c.retention, c.attempt, at(0)))
			require.True(t, st.MaySend(c.retention, c.attempt, last))
			require.False(t, st.MaySend(c.retention, c.attempt, last.Add(1)))
			maybe := st
			maybe.MayHaveExecuted = true
			require.Equal(t, last, maybe.SafeUntil(c.retention, c.attempt), "what may have happened changes nothing about a window")
		})
	}
	t.Run("no contract", func(t *testing.T) {
		t.Parallel()
		require.True(t, st.MaySend(0, minute, at(1<<30)))
		require.Zero(t, st.SafeUntil(0, minute))
		maybe := st
		maybe.MayHaveExecuted = true
		require.False(t, maybe.MaySend(0, minute, at(0)))
	})
}
