package lockfile

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrHeld is the error of a Wait whose limit was reached.
var ErrHeld = errors.New("another process holds the slot")

// Wait locks a slot and returns the function that unlocks it. While another File
// holds the slot, Wait polls, after 100 µs at first and every 5 ms later: a lock call
// that blocks cannot be ended by ctx. Wait returns ctx.Err() when ctx ends first,
// ErrHeld when the time between its polls adds up to limit, and other errors if the
// system cannot lock. Time in which this process is stopped does not count.
func (l *File) Wait(ctx context.Context, slot int64, limit time.Duration) (unlock func(), err error) {
	step, waited := 100*time.Microsecond, time.Duration(0)
	for {
		ok, err := l.Try(slot)
		if err != nil {
			return nil, fmt.Errorf("the lock file %s: %w", l.path, err)
		}
		if ok {
			return func() { l.Unlock(slot) }, nil
		}
		if waited >= limit {
			return nil, ErrHeld
		}
		waited += step
		timer := time.NewTimer(step)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
		step = min(2*step, 5*time.Millisecond)
	}
}
