package lockfile_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/lockfile"
)

// A locked slot proves a living process: no other process can take it while that
// process lives, and any can as soon as it is dead.

func TestTry_HeldByAnotherProcess_ReportsFalse(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	holder := startHolder(t, path, lockfile.FirstOwnerSlot)
	f := open(t, path)
	requireTry(t, f, lockfile.FirstOwnerSlot, false)
	requireTry(t, f, lockfile.FirstOwnerSlot+1, true)

	holder.Tell("unlock")
	holder.Expect("freed")
	requireTry(t, f, lockfile.FirstOwnerSlot, true)
}

func TestTry_HeldByAnotherFileOfThisProcess_ReportsFalse(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	first, second := open(t, path), open(t, path)
	requireTry(t, first, lockfile.OpeningSlot, true)
	requireTry(t, second, lockfile.OpeningSlot, false)
	first.Unlock(lockfile.OpeningSlot)
	requireTry(t, second, lockfile.OpeningSlot, true)
}

func TestTry_HolderKilled_TakesTheSlot(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	holder := startHolder(t, path, lockfile.FirstOwnerSlot)
	f := open(t, path)
	requireTry(t, f, lockfile.FirstOwnerSlot, false)
	holder.Kill()
	requireTry(t, f, lockfile.FirstOwnerSlot, true)
}

func TestTry_AllOwnerSlots_AreIndependent(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	first, second := open(t, path), open(t, path)
	for slot := range int64(lockfile.OwnerSlots) {
		f, other := first, second
		if slot%2 == 1 {
			f, other = second, first
		}
		requireTry(t, f, lockfile.FirstOwnerSlot+slot, true)
		requireHeld(t, other, lockfile.FirstOwnerSlot+slot, true)
	}
	requireTry(t, first, lockfile.WriterQueueSlot, true)
}

// TestTry_SlotsTakenByManyGoroutines_NoDataRace: the store takes and gives back
// different slots of one File at the same time.
func TestTry_SlotsTakenByManyGoroutines_NoDataRace(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t))
	failed := make(chan error, 8)
	for i := range int64(cap(failed)) {
		go func() {
			var err error
			for range 50 {
				if _, e := f.Try(i); e != nil {
					err = e
				}
				if _, e := f.Held(i + 100); e != nil {
					err = e
				}
				f.Unlock(i)
			}
			failed <- err
		}()
	}
	for range cap(failed) {
		require.NoError(t, <-failed)
	}
}

func TestTry_ClosedFile_Fails(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t))
	require.NoError(t, f.Close())
	ok, err := f.Try(lockfile.OpeningSlot)
	require.Error(t, err)
	require.False(t, ok)
}

// TestHeld_AnySlot_DoesNotTakeIt: a process that looks for owners must not look like
// one.
func TestHeld_AnySlot_DoesNotTakeIt(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	holder := startHolder(t, path, lockfile.FirstOwnerSlot)
	first, second := open(t, path), open(t, path)
	for range 3 {
		requireHeld(t, first, lockfile.FirstOwnerSlot, true)
		requireHeld(t, first, lockfile.FirstOwnerSlot+1, false)
		requireHeld(t, second, lockfile.FirstOwnerSlot+1, false)
	}
	requireTry(t, second, lockfile.FirstOwnerSlot+1, true)

	holder.Kill()
	requireHeld(t, first, lockfile.FirstOwnerSlot, false)
	requireTry(t, second, lockfile.FirstOwnerSlot, true)
}

func TestClose_SlotsHeld_FreesThem(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	f := open(t, path)
	holder := startHolder(t, path, lockfile.FirstOwnerSlot)
	requireTry(t, f, lockfile.FirstOwnerSlot, false)
	holder.Tell("close")
	holder.Expect("freed") // the process lives on
	requireTry(t, f, lockfile.FirstOwnerSlot, true)
}

// TestClose_AnotherFileOfThisProcess_KeepsItsSlots: locks of a process, as F_SETLK
// takes them, would be dropped here.
func TestClose_AnotherFileOfThisProcess_KeepsItsSlots(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	keeper, other := open(t, path), open(t, path)
	requireTry(t, keeper, lockfile.OpeningSlot, true)
	require.NoError(t, other.Close())
	requireHeld(t, open(t, path), lockfile.OpeningSlot, true)
}
