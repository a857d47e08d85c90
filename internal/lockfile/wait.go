package lockfile

import (
	"context"
	"fmt"
	"time"
)

// Wait locks a place, looking again until it is free or ctx ends, and returns what
// unlocks it.
func (l *File) Wait(ctx context.Context, place int64) (unlock func(), err error) {
	step := 100 * time.Microsecond
	for {
		ok, err := l.Try(place)
		if err != nil {
			return nil, fmt.Errorf("the lock file %s: %w", l.path, err)
		}
		if ok {
			return func() { l.Unlock(place) }, nil
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
