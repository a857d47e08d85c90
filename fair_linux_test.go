package idem_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

type turnArgs struct{ Path, Scope string }

// Turn is a child that begins an intent each time it is told to.
func (children) Turn(l *link) error {
	var args turnArgs
	if err := l.args(&args); err != nil {
		return err
	}
	c, err := idem.Open(args.Path, idem.WithPolicy("*", idem.Policy{Contract: idem.Stripe()}))
	if err != nil {
		return err
	}
	l.say("ready")
	for round := 0; l.hear() != "stop"; round++ {
		req, err := invoiceRequest("http://api.invalid", 5)
		if err == nil {
			_, err = c.Begin(context.Background(), idem.Operation{Name: "charge", Scope: args.Scope, ID: fmt.Sprint(round)}, req)
		}
		if err != nil {
			return err
		}
		l.say("begun")
	}
	return c.Close()
}

// A process that waits for the journal's write lock is overtaken by no other: it
// holds the turn. So one with many callers cannot starve one with a single caller.
func TestProcessesTakeTurns(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	first, second := startChild(t, "Turn", turnArgs{path, "first"}), startChild(t, "Turn", turnArgs{path, "second"})
	for _, p := range []*process{first, second} {
		p.expect("ready")
		p.tell("warm up") // each has its slot from here on
		p.expect("begun")
	}
	owners, err := os.Open(path + ".owners")
	require.NoError(t, err)
	defer owners.Close()
	const rounds = 12
	for range rounds {
		release := holdWriteLock(t, path)
		first.tell("go")
		require.Eventually(t, func() bool { // it waits for the lock, with the turn in its hand
			turn := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: idem.PlaceTurn, Len: 1}
			return syscall.FcntlFlock(owners.Fd(), 36, &turn) == nil && turn.Type != syscall.F_UNLCK
		}, time.Minute, time.Millisecond)
		second.tell("go")
		release()
		first.expect("begun")
		second.expect("begun")
	}
	for _, p := range []*process{first, second} {
		p.tell("stop")
		p.wait()
	}
	all := readJournal(t, path) // in the order in which they were begun
	require.Len(t, all, 2*rounds+2)
	for i, in := range all[2:] {
		require.Equal(t, []string{"first", "second"}[i%2], in.Operation().Scope, "number %d", i)
	}
	checkJournal(t, path)
}
