package lockfile

import (
	"context"
	"fmt"
	"time"
)

// Wait locks a slot and returns the function that unlocks it. While another File
// holds the slot, Wait polls, after 100 µs at first and every 5 ms later: a lock call
// that blocks cannot be ended by ctx. Wait returns ctx.Err() when ctx ends first, and
// other errors if the system cannot lock.
func (l *File) Wait(ctx context.Context, slot int64) (unlock func(), err error) {
	step := 100 * time.Microsecond
	for {
		ok, err := l.Try(slot)
		if err != nil {
			return nil, fmt.Errorf("the lock file %s: %w", l.path, err)
		}
		if ok {
			return func() { l.Unlock(slot) }, nil
		}
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
