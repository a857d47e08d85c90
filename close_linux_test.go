package idem_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// Leaver uses a client for everything, closes it, and tells what is left: of its
// goroutines and of its files. Then it opens the same journal again.
func (children) Leaver(l *testkit.Link) error {
	var args clientkit.AgentArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	l.Say("begun")
	l.Hear()
	ctx := context.Background()
	goroutines, files := stacks(), openFiles()
	for range 2 {
		c, err := idem.Open(args.Path, idem.WithPolicy("create_invoice", clientkit.Stripe()))
		if err != nil {
			return err
		}
		if _, err := c.Recover(ctx); err != nil {
			return err
		}
		for i := range 8 {
			if err := askFor(ctx, c, args.Server, i); err != nil {
				return err
			}
		}
		req, err := testkit.InvoiceRequest(args.Server, 1)
		if err != nil {
			return err
		}
		if _, err := c.Begin(ctx, idem.Operation{Name: "create_invoice", ID: "idle"}, req); err != nil {
			return err
		}
		for _, err := range c.Intents(ctx, idem.Filter{}) {
			if err != nil {
				return err
			}
			break
		}
		if _, err := c.Stats(ctx); err != nil {
			return err
		}
		l.Say("open")
		l.Hear()
		if err := c.Close(); err != nil {
			return err
		}
		// net/http's own goroutines end when they see that their connection is closed.
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); runtime.Gosched() {
			if len(stacks()) <= len(goroutines) && len(without(openFiles(), files)) == 0 {
				break
			}
		}
		l.Say("goroutines %d files %v", len(stacks())-len(goroutines), without(openFiles(), files))
		runtime.KeepAlive(c) // what it left open is not closed by the garbage collector
		l.Hear()
	}
	return nil
}

// stacks is each goroutine's stack.
func stacks() []string {
	buf := make([]byte, 1<<20)
	return strings.Split(strings.TrimSpace(string(buf[:runtime.Stack(buf, true)])), "\n\n")
}

// openFiles is what each descriptor stands for.
func openFiles() (names []string) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return []string{err.Error()}
	}
	for _, e := range entries {
		if name, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err == nil {
			names = append(names, name)
		}
	}
	return names
}

func without(all, known []string) (rest []string) {
	for _, name := range all {
		if !slices.Contains(known, name) && name != "anon_inode:[eventpoll]" && name != "anon_inode:[eventfd]" {
			rest = append(rest, name)
		}
	}
	return rest
}

// TestNothingIsLeftAfterClose: no goroutine, no file and no lock; the journal can
// be opened again at once.
func TestNothingIsLeftAfterClose(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	p := testkit.StartChild(t, "Leaver", clientkit.AgentArgs{Path: w.Path, Server: w.Server.URL()})
	p.Expect("begun")
	p.Tell("open")
	for range 2 {
		p.Expect("open")
		require.True(t, locked(t, w.Path+".owners"), "an open client holds its lock")
		p.Tell("close")
		p.Expect("goroutines 0 files []")
		require.False(t, locked(t, w.Path+".owners"), "a lock is left")
		p.Tell("again")
	}
	p.Wait()
	require.Len(t, w.Server.Effects(), 9, "the second client recovered the idle one")
}

// locked tells whether anybody holds any place of a lock file.
func locked(t *testing.T, path string) bool {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	const ofdGetLock = 36
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	require.NoError(t, syscall.FcntlFlock(f.Fd(), ofdGetLock, &lock))
	return lock.Type != syscall.F_UNLCK
}

// TestAFailedOpenLeavesNothing: an Open that fails has opened nothing.
func TestAFailedOpenLeavesNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	other := filepath.Join(folder, "other.db")
	require.NoError(t, os.WriteFile(other, []byte("this is no database, and long enough not to be taken for an empty one"), 0o600))
	for _, path := range []string{other, folder, filepath.Join(folder, "none", "agent.db")} {
		_, err := idem.Open(path)
		require.Error(t, err)
	}
	p := clientkit.Stripe()
	p.Contract.Retention = time.Second
	_, err := idem.Open(filepath.Join(folder, "agent.db"), idem.WithPolicy("create_invoice", p))
	require.Error(t, err)
	for _, name := range openFiles() {
		require.False(t, strings.HasPrefix(name, folder), "%s is open", name)
	}
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 1, "made beside it: %v", left)
}
