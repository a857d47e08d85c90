package server

import (
	"encoding/binary"
	"sync"
	"time"
)

const clockValue = "server clock"

// clock tells the store's time: the wall clock less its jumps. A wall clock that
// is set forward while keys are kept would forget them too early, so what it
// jumped, as against the time that really went by, is taken off again.
type clock struct {
	read func() (wall time.Time, running time.Duration)

	mu     sync.Mutex
	began  bool
	wall   time.Time // the last reading
	run    time.Duration
	offset time.Duration // what is added to the wall clock
	saved  time.Duration // so much of it is durable
}

// newClock reads the system's clocks: the wall's, and the one that only runs.
func newClock() *clock {
	start := time.Now()
	return &clock{read: func() (time.Time, time.Duration) {
		now := time.Now()
		return now.Round(0), now.Sub(start)
	}}
}

func (k *clock) now() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	wall, run := k.read()
	if jump := wall.Sub(k.wall) - (run - k.run); k.began && (jump < -jitter || jump > jitter) {
		k.offset -= jump
	}
	k.began, k.wall, k.run = true, wall, run
	return wall.Add(k.offset)
}

// jitter is what the two clocks may part by between two readings without a jump.
const jitter = time.Second

// learn takes the offset that an earlier process kept.
func (k *clock) learn(old []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.offset = durationOf(old)
	k.saved = k.offset
	return old, nil
}

func (k *clock) unsaved() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.offset != k.saved
}

func (k *clock) save([]byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.saved = k.offset
	return binary.BigEndian.AppendUint64(nil, uint64(k.offset)), nil
}
