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

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// Leaver uses a client for everything, closes it, and tells what is left: of its
// goroutines and of its files. Then it opens the same journal again.
func (children) Leaver(l *link) error {
	var args agentArgs
	if err := l.args(&args); err != nil {
		return err
	}
	l.say("begun")
	l.hear()
	ctx := context.Background()
	goroutines, files := stacks(), openFiles()
	for range 2 {
		c, err := idem.Open(args.Path, idem.WithPolicy("create_invoice", stripe()))
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
		req, err := invoiceRequest(args.Server, 1)
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
		l.say("open")
		l.hear()
		if err := c.Close(); err != nil {
			return err
		}
		// net/http's own goroutines end when they see that their connection is closed.
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); runtime.Gosched() {
			if len(stacks()) <= len(goroutines) && len(without(openFiles(), files)) == 0 {
				break
			}
		}
		l.say("goroutines %d files %v", len(stacks())-len(goroutines), without(openFiles(), files))
		runtime.KeepAlive(c) // what it left open is not closed by the garbage collector
		l.hear()
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
	w := newWorld(t)
	p := startChild(t, "Leaver", agentArgs{Path: w.path, Server: w.server.URL()})
	p.expect("begun")
	p.tell("open")
	for range 2 {
		p.expect("open")
		require.True(t, locked(t, w.path+".owners"), "an open client holds its lock")
		p.tell("close")
		p.expect("goroutines 0 files []")
		require.False(t, locked(t, w.path+".owners"), "a lock is left")
		p.tell("again")
	}
	p.wait()
	require.Len(t, w.server.Effects(), 9, "the second client recovered the idle one")
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
	p := stripe()
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
