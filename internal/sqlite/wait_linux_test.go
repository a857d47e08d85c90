//go:build cgo

package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/lockfile"
	"github.com/idem-go/idem/internal/sqlite"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// Every wait for another process ends, and its error names the one that is stopped.

// made makes a journal with one intent.
func made(t *testing.T) string {
	t.Helper()
	path := testkit.NewPath(t)
	c, err := idem.Open(path)
	require.NoError(t, err)
	_, err = c.Begin(testkit.Context(t), clientkit.Order(), testkit.NewInvoice(t, "http://localhost", 500))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	return path
}

// stopped starts a child that says "held", and stops it.
func stopped(t *testing.T, name string, args any) (p *testkit.Process, named string) {
	t.Helper()
	p = testkit.StartChild(t, name, args)
	p.Expect("held")
	require.NoError(t, p.Cmd.Process.Signal(syscall.SIGSTOP))
	for ctx := testkit.Context(t); ; require.NoError(t, ctx.Err()) { // the signal is on its way
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Cmd.Process.Pid))
		require.NoError(t, err)
		if strings.Contains(string(text), ") T ") {
			break
		}
	}
	return p, fmt.Sprintf("process %d (stopped: T)", p.Cmd.Process.Pid)
}

// goOn continues a child and ends it.
func goOn(t *testing.T, p *testkit.Process) {
	t.Helper()
	require.NoError(t, p.Cmd.Process.Signal(syscall.SIGCONT))
	p.Tell("end")
	p.Wait()
}

const (
	moment = 20 * time.Millisecond
	never  = time.Hour
)

func TestOpen_AnotherProcessStoppedWhileItOpens_NamesIt(t *testing.T) {
	t.Parallel()
	path := made(t)
	p, named := stopped(t, "Slot", heldSlot{path, lockfile.OpeningSlot})
	_, err := sqlite.OpenWaiting(path, moment, never)
	require.ErrorContains(t, err, named)
	require.ErrorContains(t, err, "the turn to open the journal")
	goOn(t, p)
	s, err := sqlite.OpenWaiting(path, moment, never)
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

func TestOpen_AnotherProcessStoppedInItsTransaction_NamesIt(t *testing.T) {
	t.Parallel()
	path := made(t)
	p, named := stopped(t, "Transaction", path)
	_, err := sqlite.OpenWaiting(path, never, moment)
	require.ErrorContains(t, err, named)
	goOn(t, p)
}

// TestBegin_AnotherProcessStopped_NamesItAndCloseEnds: with its writers' queue or with
// SQLite's lock in hand. Nothing is lost: once that process goes on, so does this one.
func TestBegin_AnotherProcessStopped_NamesItAndCloseEnds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stop            func(path string) (*testkit.Process, string)
		turn, writeLock time.Duration
	}{
		"in the queue": {func(path string) (*testkit.Process, string) {
			return stopped(t, "Slot", heldSlot{path, lockfile.WriterQueueSlot})
		}, moment, never},
		"in a transaction": {func(path string) (*testkit.Process, string) { return stopped(t, "Transaction", path) }, never, moment},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := made(t)
			s, err := sqlite.OpenWaiting(path, test.turn, test.writeLock)
			require.NoError(t, err)
			c, err := idem.New(s)
			require.NoError(t, err)
			begin := func(id int) error {
				op := idem.Operation{Name: "create_invoice", ID: fmt.Sprint(id)}
				_, err := c.Begin(context.Background(), op, testkit.NewInvoice(t, "http://localhost", 500))
				return err
			}
			p, named := test.stop(path)
			first := parallel(3, begin) // these take an owner's slot, too
			goOn(t, p)
			for _, err := range first {
				require.ErrorContains(t, err, named)
				require.ErrorContains(t, err, "nothing was sent")
			}
			for i := range 3 {
				require.NoError(t, begin(i))
			}

			p, named = test.stop(path)
			for _, err := range parallel(3, func(i int) error { return begin(10 + i) }) {
				require.ErrorContains(t, err, named)
			}
			_, err = c.Stats(testkit.Context(t))
			require.NoError(t, err, "reading waits for no writer")
			require.NoError(t, c.Close(), "what is begun and not released is the next owner's")
			goOn(t, p)
			clientkit.CheckJournal(t, path)
			require.Len(t, clientkit.ReadJournal(t, path), 4)
		})
	}
}

// parallel calls f so many times at once.
func parallel(times int, f func(i int) error) []error {
	errs := make([]error, times)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errs
}

func TestRead_EveryConnectionInUse_IsBounded(t *testing.T) {
	t.Parallel()
	s, err := sqlite.OpenWaiting(made(t), moment, never)
	require.NoError(t, err)
	release := s.HoldReaders()
	_, err = s.Get(testkit.Context(t), "key-1")
	require.ErrorContains(t, err, "the connections that read")
	release()
	_, err = s.Get(testkit.Context(t), "key-1")
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

// TestBegin_DeadlineWhileAnotherProcessIsStopped_NamesIt: a caller with less patience
// than the store gets its own ctx's error, and the same hint.
func TestBegin_DeadlineWhileAnotherProcessIsStopped_NamesIt(t *testing.T) {
	t.Parallel()
	path := made(t)
	s, err := sqlite.OpenWaiting(path, never, never)
	require.NoError(t, err)
	c, err := idem.New(s)
	require.NoError(t, err)
	p, named := stopped(t, "Slot", heldSlot{path, lockfile.WriterQueueSlot})
	ctx, cancel := context.WithTimeout(testkit.Context(t), moment)
	defer cancel()
	_, err = c.Begin(ctx, clientkit.Order(), testkit.NewInvoice(t, "http://localhost", 501))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, named)
	goOn(t, p)
	require.NoError(t, c.Close())
}
