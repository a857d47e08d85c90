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
