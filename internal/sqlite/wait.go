//go:build cgo

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/idem-go/idem/internal/localfs"
	"github.com/idem-go/idem/internal/lockfile"
)

// waits bound how long the store waits for others. A process that is stopped, as by
// Ctrl-Z or a debugger, keeps its locks, and no other process can take them.
type waits struct {
	turn      time.Duration // for a slot of the lock file, and for other goroutines
	writeLock time.Duration // for SQLite's write lock
	hint      time.Duration // after which the error of a ctx that ends names processes, too
}

func usualWaits() waits { return waits{30 * time.Second, 10 * time.Second, time.Second} }

// waitSlot locks a slot of the lock file, and returns the function that unlocks it. what
// names what the slot is for.
func (s *Store) waitSlot(ctx context.Context, slot int64, what string) (func(), error) {
	began := time.Now()
	unlock, err := s.locks.Wait(ctx, slot, s.waits.turn)
	switch {
	case err == nil:
	case errors.Is(err, lockfile.ErrHeld):
		err = fmt.Errorf("another process has held %s for %v: %s", what, s.waits.turn, s.suspects())
	case errors.Is(err, context.DeadlineExceeded) && time.Since(began) >= s.waits.hint:
		err = fmt.Errorf("waiting for %s: %w: %s", what, err, s.suspects())
	case errors.Is(err, ctx.Err()):
		err = fmt.Errorf("waiting for %s: %w", what, err)
	}
	return unlock, err
}

// waitHere sends to a channel that other goroutines of this process have filled.
func (s *Store) waitHere(ctx context.Context, full chan<- struct{}, what string) error {
	select {
	case full <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(s.waits.turn)
	defer timer.Stop()
	select {
	case full <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("other goroutines have held %s for %v: %s", what, s.waits.turn, s.suspects())
	}
}

// suspects says which process to look at, where others wait for a lock.
func (s *Store) suspects() string {
	for _, p := range localfs.Openers(s.path, s.path+".owners") {
		switch {
		case p.Stopped():
			return fmt.Sprintf("process %d (stopped: %c) has the journal open: continue it, as with kill -CONT %[1]d, or end it", p.ID, p.State)
		case p.State == 'D':
			return fmt.Sprintf("process %d (waiting for the disk: D) has the journal open: look at the disk, or end the process", p.ID)
		}
	}
	return "look for a stopped process (state T in ps) that has the journal open, and continue or end it"
}
