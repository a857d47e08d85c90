package clock

import (
	"encoding/binary"
	"sync"
	"time"
)

const (
	// LongStep is the longest step forward of the wall clock that Steady accepts at once:
	// a day, and an hour more, so that a program that runs once a day makes no step.
	LongStep = 25 * time.Hour

	// SteadyAfter is how long the process has to run after a longer step before Steady
	// accepts it.
	SteadyAfter = 24 * time.Hour
)

// Steady tells whether the wall clock can be trusted to drop old data by. A wall clock
// that was set forward by years for a minute makes everything old in that minute, and
// what is dropped then is lost after the clock is corrected. Steady may be used by many
// goroutines at once.
type Steady struct {
	wall    func() time.Time
	running func() time.Duration // monotonic: the time for which the process has run

	mu        sync.Mutex
	trusted   time.Time     // latest reading of wall that was accepted
	trustedAt time.Duration // reading of running at trusted
	last      time.Time     // latest reading of wall
	lastAt    time.Duration // reading of running at last
	stepped   bool          // the wall clock made a longer step, which is not accepted yet
	steppedAt time.Duration // reading of running at the latest such step
}

// NewSteady returns a Steady that reads the wall clock and the running time of the
// process. It accepts the first reading of the wall clock if that is at most LongStep
// later than since.
func NewSteady(wall func() time.Time, running func() time.Duration, since time.Time) *Steady {
	s := &Steady{wall: wall, running: running, trusted: since, trustedAt: running(), last: since}
	s.lastAt = s.trustedAt
	s.Now()
	return s
}

// Now returns the wall clock's time in UTC, and whether it can be trusted. It cannot
// from a step forward of more than LongStep until the process has run for SteadyAfter,
// or until the wall clock is set back.
func (s *Steady) Now() (now time.Time, steady bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, run := s.wall().Round(0).UTC(), s.running()
	switch {
	case now.Sub(s.last) > run-s.lastAt+LongStep:
		s.stepped, s.steppedAt = true, run
	case now.Sub(s.trusted) <= run-s.trustedAt+LongStep, run-s.steppedAt >= SteadyAfter:
		s.stepped = false
	}
	s.last, s.lastAt = now, run
	if !s.stepped {
		s.trusted, s.trustedAt = now, run
	}
	return now, !s.stepped
}

// SteadyName is the name under which the client stores the trusted time with
// Journal.Value.
const SteadyName = "pruned at"

// saveAfter is how far the stored time may be from the trusted one.
const saveAfter = time.Hour

// Merge returns the time to store, given the stored one: the trusted time, unless the
// stored one is less than an hour from it, or a step is not accepted yet. It is the
// update function of Journal.Value.
func (s *Steady) Merge(old []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := DecodeTime(old); ok && (s.stepped || at.Sub(s.trusted).Abs() < saveAfter) {
		return old, nil
	}
	return binary.BigEndian.AppendUint64(nil, uint64(s.trusted.UnixNano())), nil
}

// DecodeTime returns the time that Merge encoded. It returns false for other text, such
// as nil.
func DecodeTime(stored []byte) (time.Time, bool) {
	if len(stored) != 8 {
		return time.Time{}, false
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(stored))).UTC(), true
}
