package clock_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/clock"
)

// TestClocksDoNotOutrunTheTime: two processes with one wall clock that read each
// other's rows tell the same time as it, however often they do. Time that ran ahead
// would shorten every window, for ever.
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

// TestAClockThatIsBehindGoesOnFromTheLatestRow: the wall clock was set back while no
// process ran, or is another machine's. No time that was written down is later than
// now, and from there on the time goes as the wall clock does.
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

// TestReadingTheClockAddsNothing: a reading has two parts, and what lies between
// taking the one and the other differs from time to time. However often the clock is
// read, that does not add up: it is at most what the worst reading had.
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
