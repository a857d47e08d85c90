package lockfile_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/lockfile"
	"github.com/idem-go/idem/internal/testkit"
)

func TestWait_SlotFree_LocksItUntilUnlock(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	first, second := open(t, path), open(t, path)
	unlock, err := first.Wait(testkit.Context(t), lockfile.WriterQueueSlot, time.Hour)
	require.NoError(t, err)
	requireTry(t, second, lockfile.WriterQueueSlot, false)
	unlock()
	requireTry(t, second, lockfile.WriterQueueSlot, true)
}

// waiter polls a slot that is held, and tells about it: polled receives a value after
// the poll that found the slot held.
type waiter struct {
	context.Context
	polled chan struct{}
}

// Done is called by Wait after each poll that found the slot held.
func (w *waiter) Done() <-chan struct{} {
	select {
	case w.polled <- struct{}{}:
	default:
	}
	return w.Context.Done()
}

func wait(ctx context.Context, f *lockfile.File) (*waiter, chan error) {
	w, result := &waiter{ctx, make(chan struct{}, 1)}, make(chan error, 1)
	go func() {
		_, err := f.Wait(w, lockfile.WriterQueueSlot, time.Hour)
		result <- err
	}()
	return w, result
}

func TestWait_HolderUnlocks_LocksTheSlot(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"unlock", "kill"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			holder := startHolder(t, path, lockfile.WriterQueueSlot)
			w, result := wait(testkit.Context(t), open(t, path))
			<-w.polled
			require.Empty(t, result)
			if end == "kill" {
				holder.Kill()
			} else {
				holder.Tell(end)
				holder.Expect("freed")
			}
			require.NoError(t, <-result)
			requireHeld(t, open(t, path), lockfile.WriterQueueSlot, true)
		})
	}
}

func TestWait_ContextEnds_ReturnsItsError(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	startHolder(t, path, lockfile.WriterQueueSlot)
	ctx, cancel := context.WithCancel(testkit.Context(t))
	w, result := wait(ctx, open(t, path))
	<-w.polled
	cancel()
	require.Equal(t, context.Canceled, <-result)
}

func TestWait_ClosedFile_Fails(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t))
	require.NoError(t, f.Close())
	_, err := f.Wait(testkit.Context(t), lockfile.OpeningSlot, time.Hour)
	require.ErrorContains(t, err, "the lock file "+f.Path())
}

func TestWait_LimitReached_ReturnsErrHeld(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	startHolder(t, path, lockfile.WriterQueueSlot)
	_, err := open(t, path).Wait(testkit.Context(t), lockfile.WriterQueueSlot, time.Millisecond)
	require.Equal(t, lockfile.ErrHeld, err)
}
