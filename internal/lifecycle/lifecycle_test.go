package lifecycle_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/journal"
)

// The tests of this file test three promises: a Failed intent had no effect; without a
// contract, an intent that may have been sent is never sent again; a key is sent only
// inside its window.

// at returns a journal time.
func at(seconds int) time.Time { return time.Unix(1_700_000_000+int64(seconds), 0).UTC() }

// attempt is one attempt of a history: its result, and whether its reply was marked
// as stored.
type attempt struct {
	found  lifecycle.AttemptResult
	stored bool
}

var findingNames = map[lifecycle.AttemptResult]string{
	lifecycle.NotSent: "not sent", lifecycle.Unknown: "unknown", lifecycle.Done: "done", lifecycle.Refused: "refused",
	lifecycle.RefusedTransient: "not now", lifecycle.RetryLater: "later", lifecycle.InFlight: "in flight", lifecycle.Mismatch: "mismatch",
}

func (a attempt) String() string {
	if a.stored {
		return "stored " + findingNames[a.found]
	}
	return findingNames[a.found]
}

func plainly(found ...lifecycle.AttemptResult) (history []attempt) {
	for _, f := range found {
		history = append(history, attempt{found: f})
	}
	return history
}

func storedly(f lifecycle.AttemptResult) attempt { return attempt{found: f, stored: true} }

// begun returns the summary of an intent without changes.
func begun() journal.Summary { return journal.Summary{State: journal.Pending, WindowStart: at(0)} }

// TestAfter is the table of moves: every result of an attempt, after a history without
// effect and after one that may have had an effect.
func TestAfter(t *testing.T) {
	t.Parallel()
	const settle, again, stop = lifecycle.MoveSettle, lifecycle.MoveRetry, lifecycle.MoveStop
	type want struct {
		move    lifecycle.Move
		state   journal.State
		failure journal.Failure
		maybe   bool
	}
	done := want{settle, journal.Succeeded, journal.NotFailed, false}
	doneMaybe := want{settle, journal.Succeeded, journal.NotFailed, true}
	forGood := want{settle, journal.Failed, journal.FailedPermanent, false}
	forNow := want{settle, journal.Failed, journal.FailedTransient, false}
	unsent := want{settle, journal.Failed, journal.FailedNotSent, false}
	retry := want{again, journal.Pending, journal.NotFailed, false}
	retryMaybe := want{again, journal.Pending, journal.NotFailed, true}
	doubt := want{stop, journal.Pending, journal.NotFailed, true}

	// For each last attempt: with keys kept and more attempts left, kept and none
	// left, not kept and more, not kept and none.
	clean := map[attempt][4]want{
		{lifecycle.Done, false}:             {done, done, done, done},
		{lifecycle.Refused, false}:          {forGood, forGood, forGood, forGood},
		{lifecycle.RefusedTransient, false}: {forNow, forNow, forNow, forNow},
		{lifecycle.RetryLater, false}:       {retry, forNow, retry, forNow},
		{lifecycle.NotSent, false}:          {retry, unsent, retry, unsent},
		{lifecycle.Unknown, false}:          {retryMaybe, doubt, doubt, doubt},
		{lifecycle.InFlight, false}:         {retryMaybe, doubt, doubt, doubt},
		{lifecycle.Mismatch, false}:         {doubt, doubt, doubt, doubt},
		{lifecycle.Done, true}:              {done, done, done, done},
		{lifecycle.Refused, true}:           {forGood, forGood, forGood, forGood},
		{lifecycle.RefusedTransient, true}:  {forNow, forNow, forNow, forNow},
		{lifecycle.RetryLater, true}:        {retry, forNow, retry, forNow},
		{lifecycle.Unknown, true}:           {doubt, doubt, doubt, doubt}, // the server returns a stored 500 each time
		{lifecycle.InFlight, true}:          {doubt, doubt, doubt, doubt},
		{lifecycle.Mismatch, true}:          {doubt, doubt, doubt, doubt},
	}
	unclean := map[attempt][4]want{
		{lifecycle.Done, false}:             {doneMaybe, doneMaybe, doneMaybe, doneMaybe},
		{lifecycle.Refused, false}:          {doubt, doubt, doubt, doubt},
		{lifecycle.RefusedTransient, false}: {doubt, doubt, doubt, doubt},
		{lifecycle.RetryLater, false}:       {retryMaybe, doubt, doubt, doubt},
		{lifecycle.NotSent, false}:          {retryMaybe, doubt, doubt, doubt},
		{lifecycle.Unknown, false}:          {retryMaybe, doubt, doubt, doubt},
		{lifecycle.InFlight, false}:         {retryMaybe, doubt, doubt, doubt},
		{lifecycle.Mismatch, false}:         {doubt, doubt, doubt, doubt},
		{lifecycle.Done, true}:              {doneMaybe, doneMaybe, doneMaybe, doneMaybe},
		{lifecycle.Refused, true}:           {forGood, forGood, forGood, forGood},
		{lifecycle.RefusedTransient, true}:  {forNow, forNow, forNow, forNow},
		{lifecycle.RetryLater, true}:        {retryMaybe, forNow, retryMaybe, forNow},
		{lifecycle.Unknown, true}:           {doubt, doubt, doubt, doubt},
		{lifecycle.InFlight, true}:          {doubt, doubt, doubt, doubt},
		{lifecycle.Mismatch, true}:          {doubt, doubt, doubt, doubt},
	}
	for name, table := range map[string]map[attempt][4]want{"clean": clean, "unclean": unclean} {
		for last, cells := range table {
			for i, w := range cells {
				keeps, more := i < 2, i%2 == 0
				t.Run(fmt.Sprintf("%s/%v/keeps=%v/more=%v", name, last, keeps, more), func(t *testing.T) {
					t.Parallel()
					before := begun()
					if name == "unclean" {
						before, _ = lifecycle.After(before, lifecycle.Evidence{Result: lifecycle.Unknown, Stored: false}, at(1), true, true)
						require.True(t, before.MayHaveExecuted)
					}
					st, move := lifecycle.After(before, lifecycle.Evidence{Result: last.found, Stored: last.stored}, at(9), keeps, more)
					require.Equal(t, w, want{move, st.State, st.Failure, st.MayHaveExecuted})
					require.Equal(t, before.Attempts+1, st.Attempts)
					switch {
					case name == "unclean":
						require.Equal(t, at(1), st.FirstSent, "the first attempt stays the first")
					case last.found == lifecycle.NotSent:
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

// TestAfterHistories walks whole histories with a contract that keeps keys, of which
// the last attempt may not be followed by another. After an attempt that may have had
// its effect, a refusal does not make the intent Failed.
func TestAfterHistories(t *testing.T) {
	t.Parallel()
	const pending, succeeded, failed = journal.Pending, journal.Succeeded, journal.Failed
	for _, c := range []struct {
		history []attempt
		state   journal.State
		failure journal.Failure
	}{
		{plainly(lifecycle.NotSent, lifecycle.NotSent, lifecycle.NotSent), failed, journal.FailedNotSent},
		{plainly(lifecycle.NotSent, lifecycle.Refused), failed, journal.FailedPermanent},
		{plainly(lifecycle.RetryLater, lifecycle.NotSent), failed, journal.FailedTransient},
		{plainly(lifecycle.RetryLater, lifecycle.NotSent, lifecycle.Refused), failed, journal.FailedPermanent},
		{plainly(lifecycle.RetryLater, lifecycle.RetryLater, lifecycle.RetryLater), failed, journal.FailedTransient},
		{plainly(lifecycle.RetryLater, lifecycle.RefusedTransient), failed, journal.FailedTransient},
		{plainly(lifecycle.Unknown, lifecycle.Refused), pending, journal.NotFailed},
		{plainly(lifecycle.Unknown, lifecycle.RefusedTransient), pending, journal.NotFailed},
		{plainly(lifecycle.Unknown, lifecycle.RetryLater), pending, journal.NotFailed},
		{plainly(lifecycle.Unknown, lifecycle.NotSent), pending, journal.NotFailed},
		{plainly(lifecycle.RetryLater, lifecycle.Unknown, lifecycle.NotSent, lifecycle.Refused), pending, journal.NotFailed},
		{plainly(lifecycle.InFlight, lifecycle.Refused), pending, journal.NotFailed},
		{plainly(lifecycle.Mismatch), pending, journal.NotFailed},
		{plainly(lifecycle.Unknown, lifecycle.Unknown, lifecycle.Done), succeeded, journal.NotFailed},
		{plainly(lifecycle.InFlight, lifecycle.InFlight, lifecycle.Done), succeeded, journal.NotFailed},
		{append(plainly(lifecycle.Unknown), storedly(lifecycle.Refused)), failed, journal.FailedPermanent},
		{append(plainly(lifecycle.Unknown, lifecycle.InFlight), storedly(lifecycle.RefusedTransient)), failed, journal.FailedTransient},
		{append(plainly(lifecycle.Unknown), storedly(lifecycle.Unknown)), pending, journal.NotFailed},
		{append(plainly(lifecycle.Unknown), storedly(lifecycle.Done)), succeeded, journal.NotFailed},
	} {
		t.Run(fmt.Sprint(c.history), func(t *testing.T) {
			t.Parallel()
			st := begun()
			var move lifecycle.Move
			for i, a := range c.history {
				st, move = lifecycle.After(st, lifecycle.Evidence{Result: a.found, Stored: a.stored}, at(i+1), true, i+1 < len(c.history))
				if i+1 < len(c.history) {
					require.Equal(t, lifecycle.MoveRetry, move, "after %v", a)
				}
			}
			require.Equal(t, c.state, st.State)
			require.Equal(t, c.failure, st.Failure)
			require.Equal(t, len(c.history), st.Attempts)
			if c.state == pending {
				require.Equal(t, lifecycle.MoveStop, move)
			}
		})
	}
}

// TestClaimed tests that a takeover counts as an attempt that may have had its effect
// unless attempts are marked, and that the window moves only while nothing was sent.
func TestClaimed(t *testing.T) {
	t.Parallel()
	kept, marked := journal.Terms{}, journal.Terms{MarksAttempts: true}
	sent := begun()
	sent.FirstSent, sent.MayHaveExecuted = at(5), true
	refused := begun()
	refused.State, refused.Failure, refused.FirstSent = journal.Failed, journal.FailedTransient, at(5)
	unsent := begun()
	unsent.State, unsent.Failure, unsent.Attempts = journal.Failed, journal.FailedNotSent, 4
	doubted := sent
	doubted.State = journal.InDoubt
	for _, c := range []struct {
		name              string
		before            journal.Summary
		owner             journal.Ownership
		terms             journal.Terms
		maybe             bool
		firstSent, window time.Time
		takeovers         int
	}{
		{"ours", begun(), journal.OwnedBySelf, kept, false, time.Time{}, at(60), 0},
		{"released", begun(), journal.Unowned, kept, false, time.Time{}, at(60), 0},
		{"dead, no mark needed", begun(), journal.OwnedByDead, kept, true, at(0), at(0), 1},
		{"dead, not marked", begun(), journal.OwnedByDead, marked, false, time.Time{}, at(60), 1},
		{"dead, marked", sent, journal.OwnedByDead, marked, true, at(5), at(0), 1},
		{"dead, sent", sent, journal.OwnedByDead, kept, true, at(5), at(0), 1},
		{"released after sending", sent, journal.Unowned, kept, true, at(5), at(0), 0},
		{"in doubt", doubted, journal.Unowned, kept, true, at(5), at(0), 0},
		{"failed, never sent", unsent, journal.Unowned, kept, false, time.Time{}, at(60), 0},
		{"failed for now", refused, journal.Unowned, kept, false, at(5), at(0), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			st := lifecycle.Claim(c.before, c.owner, c.terms, at(60))
			require.Equal(t, journal.Pending, st.State)
			require.Equal(t, journal.NotFailed, st.Failure)
			require.Equal(t, c.maybe, st.MayHaveExecuted)
			require.Equal(t, c.firstSent, st.FirstSent)
			require.Equal(t, c.window, st.WindowStart)
			require.Equal(t, c.takeovers, st.Takeovers)
		})
	}
}

// TestTakeoversAreCounted tests that takeovers are counted until the intent is
// settled.
func TestTakeoversAreCounted(t *testing.T) {
	t.Parallel()
	st := begun()
	for i := range lifecycle.MaxTakeovers + 1 {
		st = lifecycle.Claim(st, journal.OwnedByDead, journal.Terms{}, at(i))
		require.Equal(t, i+1, st.Takeovers)
	}
	settled, _ := lifecycle.After(st, lifecycle.Evidence{Result: lifecycle.Done, Stored: false}, at(60), true, true)
	require.Zero(t, settled.Takeovers)
	settled, _ = lifecycle.After(st, lifecycle.Evidence{Result: lifecycle.Refused, Stored: true}, at(60), true, true)
	require.Equal(t, journal.Failed, settled.State)
	require.Zero(t, settled.Takeovers)
	again, _ := lifecycle.After(st, lifecycle.Evidence{Result: lifecycle.Unknown, Stored: false}, at(60), true, true)
	require.Equal(t, lifecycle.MaxTakeovers+1, again.Takeovers)
	require.True(t, lifecycle.Parked(again))
	require.True(t, lifecycle.MayTryParked(again))
	again = lifecycle.Claim(again, journal.OwnedByDead, journal.Terms{}, at(61))
	require.False(t, lifecycle.MayTryParked(again))
}

// TestMaySend tests that a key is sent only while one attempt and a margin fit into the
// rest of the server's retention, and without a contract only while no attempt may have
// had its effect.
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
			require.Equal(t, last, lifecycle.SafeUntil(st, c.retention, c.attempt))
			require.True(t, lifecycle.MaySend(st, c.retention, c.attempt, at(0)))
			require.True(t, lifecycle.MaySend(st, c.retention, c.attempt, last))
			require.False(t, lifecycle.MaySend(st, c.retention, c.attempt, last.Add(1)))
			maybe := st
			maybe.MayHaveExecuted = true
			require.Equal(t, last, lifecycle.SafeUntil(maybe, c.retention, c.attempt), "what may have happened changes nothing about a window")
		})
	}
	t.Run("no contract", func(t *testing.T) {
		t.Parallel()
		require.True(t, lifecycle.MaySend(st, 0, minute, at(1<<30)))
		require.Zero(t, lifecycle.SafeUntil(st, 0, minute))
		maybe := st
		maybe.MayHaveExecuted = true
		require.False(t, lifecycle.MaySend(maybe, 0, minute, at(0)))
	})
}
