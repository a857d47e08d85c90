//go:build cgo

package sqlite_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/lockfile"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

type turnArgs struct{ Path, Scope string }

// Turn is a child that begins an intent each time it is told to.
func (children) Turn(l *testkit.Link) error {
	var args turnArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	c, err := idem.Open(args.Path, idem.WithPolicy("*", idem.Policy{Contract: idem.Stripe()}))
	if err != nil {
		return err
	}
	l.Say("ready")
	for round := 0; l.Hear() != "stop"; round++ {
		req, err := testkit.InvoiceRequest("http://api.invalid", 5)
		if err == nil {
			_, err = c.Begin(context.Background(), idem.Operation{Name: "charge", Scope: args.Scope, ID: fmt.Sprint(round)}, req)
		}
		if err != nil {
			return err
		}
		l.Say("begun")
	}
	return c.Close()
}

// A process that waits for the journal's write lock is overtaken by no other: it
// holds the turn. So one with many callers cannot starve one with a single caller.
func TestProcessesTakeTurns(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	first, second := testkit.StartChild(t, "Turn", turnArgs{path, "first"}), testkit.StartChild(t, "Turn", turnArgs{path, "second"})
	for _, p := range []*testkit.Process{first, second} {
		p.Expect("ready")
		p.Tell("warm up") // each has its slot from here on
		p.Expect("begun")
	}
	owners, err := os.Open(path + ".owners")
	require.NoError(t, err)
	defer owners.Close()
	const rounds = 12
	for range rounds {
		release := holdWriteLock(t, path)
		first.Tell("go")
		require.Eventually(t, func() bool { // it waits for the lock, with the turn in its hand
			turn := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: lockfile.WriterQueueSlot, Len: 1}
			return syscall.FcntlFlock(owners.Fd(), 36, &turn) == nil && turn.Type != syscall.F_UNLCK
		}, time.Minute, time.Millisecond)
		second.Tell("go")
		release()
		first.Expect("begun")
		second.Expect("begun")
	}
	for _, p := range []*testkit.Process{first, second} {
		p.Tell("stop")
		p.Wait()
	}
	all := clientkit.ReadJournal(t, path) // in the order in which they were begun
	require.Len(t, all, 2*rounds+2)
	for i, in := range all[2:] {
		require.Equal(t, []string{"first", "second"}[i%2], in.Operation().Scope, "number %d", i)
	}
	clientkit.CheckJournal(t, path)
}
