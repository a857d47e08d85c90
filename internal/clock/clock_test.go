package clock_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/clock"
)

// TestClocksDoNotOutrunTheTime tests that the clocks of two processes that read each
// other's records stay equal to their common wall clock. Journal time that runs ahead
// would shorten every window.
func TestClocksDoNotOutrunTheTime(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	wall := start
	clocks := []*clock.Clock{clock.New(func() time.Time { return wall }), clock.New(func() time.Time { return wall })}
	for i := range 1000 {
		wall = wall.Add(10 * time.Millisecond)
		written := clocks[i%2].Now()
		wall = wall.Add(10 * time.Millisecond)
		clocks[1-i%2].See(written)
	}
	for _, c := range clocks {
		require.Equal(t, wall, c.Now())
	}
}

// TestAClockThatIsBehindGoesOnFromTheLatestRow tests a wall clock that was set back
// while no process ran, or that is another machine's. Journal time goes on from the
// latest recorded time, as fast as the wall clock.
func TestAClockThatIsBehindGoesOnFromTheLatestRow(t *testing.T) {
	t.Parallel()
	wall := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := clock.New(func() time.Time { return wall })
	c.Now()
	wall = wall.Add(time.Minute)
	row := wall.Add(time.Hour)
	c.See(row)
	require.Equal(t, row, c.Now())
	wall = wall.Add(time.Second)
	require.Equal(t, row.Add(time.Second), c.Now())
	wall = wall.Add(-time.Hour) // and a step of its own
	require.False(t, c.Now().Before(row.Add(time.Second)))
}

// TestReadingTheClockAddsNothing tests that the time between taking the wall part and
// the monotonic part of a reading does not add up: the offset is at most the longest
// such time of one reading.
func TestReadingTheClockAddsNothing(t *testing.T) {
	t.Parallel()
	worst := time.Duration(0)
	base := time.Now()
	c := clock.New(func() time.Time {
		now := time.Now()
		monotonic, wall := now.Sub(base), now.Round(0).Sub(base.Round(0))
		worst = max(worst, (monotonic - wall).Abs())
		return now
	})
	for range 2_000_000 {
		c.Now()
	}
	now := c.Now()
	ahead := time.Until(now)
	require.LessOrEqual(t, ahead, 2*worst, "journal time ran ahead of the wall clock")
}

// TestSteady_LongStep_WaitsUntilTheProcessHasRun tests which steps forward of the wall
// clock are accepted, and when.
func TestSteady_LongStep_WaitsUntilTheProcessHasRun(t *testing.T) {
	t.Parallel()
	const hour, day, year = time.Hour, 24 * time.Hour, 365 * 24 * time.Hour
	type reading struct {
		ahead, ran time.Duration // of the wall clock beyond the running time; since the reading before
		steady     bool
	}
	for name, c := range map[string]struct {
		unused   time.Duration // before the process started
		readings []reading
	}{
		"in daily use":             {day, []reading{{0, 0, true}}},
		"not used for months":      {90 * day, []reading{{0, 0, false}, {0, 23 * hour, false}, {0, hour, true}}},
		"running for long":         {0, []reading{{0, 90 * day, true}}},
		"short step":               {0, []reading{{day, 0, true}, {2 * day, 0, true}}},
		"long step":                {0, []reading{{year, 0, false}, {year, 23 * hour, false}, {year, hour, true}}},
		"long step, and back":      {0, []reading{{year, 0, false}, {0, 0, true}, {year, 48 * hour, false}, {year, 23 * hour, false}}},
		"back, and correct again":  {0, []reading{{-year, 0, true}, {0, 0, false}, {0, day, true}}},
		"a second step in between": {0, []reading{{year, 0, false}, {2 * year, 23 * hour, false}, {2 * year, hour, false}, {2 * year, 23 * hour, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			var run, ahead time.Duration
			s := clock.NewSteady(func() time.Time { return start.Add(run + ahead) }, func() time.Duration { return run }, start.Add(-c.unused))
			for i, r := range c.readings {
				run, ahead = run+r.ran, r.ahead
				now, steady := s.Now()
				require.Equal(t, start.Add(run+ahead), now)
				require.Equal(t, r.steady, steady, i)
			}
		})
	}
}

// TestSteadyMerge_UnacceptedStep_KeepsTheTimeBefore tests which time is stored: not one
// that is not accepted, and a new one only after an hour.
func TestSteadyMerge_UnacceptedStep_KeepsTheTimeBefore(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	wall := start
	s := clock.NewSteady(func() time.Time { return wall }, func() time.Duration { return 0 }, start)
	var stored []byte
	for _, c := range []struct{ wall, want time.Time }{
		{start, start},
		{start.Add(59 * time.Minute), start},
		{start.Add(time.Hour), start.Add(time.Hour)},
		{start.Add(1000 * time.Hour), start.Add(time.Hour)},
		{start.Add(-1000 * time.Hour), start.Add(-1000 * time.Hour)},
	} {
		wall = c.wall
		s.Now()
		var err error
		stored, err = s.Merge(stored)
		require.NoError(t, err)
		at, ok := clock.DecodeTime(stored)
		require.True(t, ok)
		require.Equal(t, c.want, at)
	}
	_, ok := clock.DecodeTime(nil)
	require.False(t, ok)

	wall = start.Add(1000 * time.Hour)
	s = clock.NewSteady(func() time.Time { return wall }, func() time.Duration { return 0 }, start)
	first, err := s.Merge(nil) // nothing is stored yet: the time before the step is
	require.NoError(t, err)
	at, _ := clock.DecodeTime(first)
	require.Equal(t, start, at)
}
