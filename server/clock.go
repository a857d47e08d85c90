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
	wall func() time.Time // with a monotonic part

	mu     sync.Mutex
	last   time.Time
	offset time.Duration // what is added to the wall clock
	saved  time.Duration // so much of it is durable
}

func newClock(wall func() time.Time) *clock { return &clock{wall: wall} }

func (k *clock) now() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.wall()
	if !k.last.IsZero() {
		passed := t.Sub(k.last)                   // by the monotonic clock
		walled := t.Round(0).Sub(k.last.Round(0)) // by the wall clock
		if jump := walled - passed; jump < -jitter || jump > jitter {
			k.offset -= jump
		}
	}
	k.last = t
	return t.Round(0).Add(k.offset)
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
