//go:build cgo

package sqlite_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// A process that may open no more files, or whose SQLite gets no more memory: what
// cannot be made durable is not sent, what is known is handed out all the same, and
// nothing that was recorded is lost.

// hog holds every descriptor that this process may still have.
type hog struct{ held []*os.File }

func (h *hog) takeAll() error {
	for {
		f, err := os.Open(os.DevNull)
		if errors.Is(err, syscall.EMFILE) {
			return nil
		}
		if err != nil {
			return err
		}
		h.held = append(h.held, f)
	}
}

// giveBack lets the process have so many again.
func (h *hog) giveBack(n int) error {
	var errs []error
	for range min(n, len(h.held)) {
		errs = append(errs, h.held[0].Close())
		h.held = h.held[1:]
	}
	return errors.Join(errs...)
}

// TooManyFiles opens a journal and charges while it may open fewer and fewer files.
func (children) TooManyFiles(l *testkit.Link) error {
	var args diskArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	path := filepath.Join(args.Folder, "agent.db")
	base := &http.Transport{DisableKeepAlives: true} // each attempt needs a descriptor
	opts := []idem.Option{idem.WithPolicy("*", clientkit.Stripe()), idem.WithTransport(base)}
	limit := syscall.Rlimit{Cur: 64, Max: 64}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	var all hog
	var c *idem.Client
	for more := 0; c == nil; more++ { // one more each time
		if err := errors.Join(all.takeAll(), all.giveBack(more)); err != nil {
			return err
		}
		var err error
		if c, err = idem.Open(path, opts...); err != nil {
			l.Say("open: %v", err)
		}
	}
	l.Say("opened")
	do := func(id string) string {
		return callEnd(c.Do(largeInvoice(args.URL), idem.Operation{Name: "charge", ID: id}))
	}
	if err := all.giveBack(64); err != nil {
		return err
	}
	l.Say("first: %s", do("first"))
	if err := all.takeAll(); err != nil {
		return err
	}
	l.Say("no descriptor: %s", do("second"))
	l.Say("replay: %s", do("first"))
	if err := all.giveBack(64); err != nil {
		return err
	}
	l.Say("again: %s", do("second"))
	return c.Close()
}

func TestTooManyOpenFiles(t *testing.T) {
	t.Parallel()
	s := clientkit.NewServer(t)
	folder := t.TempDir()
	child := testkit.StartChild(t, "TooManyFiles", diskArgs{Folder: folder, URL: s.URL()})
	refused := 0
	line := child.Hear()
	for ; line != "opened"; line = child.Hear() {
		require.Contains(t, line, "open: idem: opening the journal")
		require.Regexp(t, "too many open files|limit of open files", line)
		refused++
	}
	require.Greater(t, refused, 2, "the lock file, the journal and its log each need a descriptor")
	require.Contains(t, child.Hear(), "first: 200")
	line = child.Hear()
	require.Contains(t, line, "no descriptor: no reply; "+idem.ErrNotSent.Error(), "the socket had none; the intent is on disk, and it failed for now")
	require.Contains(t, line, "was never sent (no connection)")
	require.Contains(t, child.Hear(), "replay: 200")
	require.Contains(t, child.Hear(), "again: 200", "the same ID goes on")
	child.Wait()
	require.Len(t, s.Effects(), 2)
	require.Len(t, s.Arrivals(), 2)
	clientkit.CheckJournal(t, filepath.Join(folder, "agent.db"))
}

// starve takes SQLite's memory away, in this whole process: what it asks for beyond
// what it has fails. It cannot be given back.
func starve() error {
	db, err := testkit.OpenRaw(":memory:")
	if err != nil {
		return err
	}
	if _, err := db.Exec("PRAGMA hard_heap_limit = 1"); err != nil {
		return errors.Join(err, db.Close())
	}
	return db.Close()
}

// starvingTransport starves SQLite once a reply is there.
type starvingTransport struct {
	starves bool
	err     error
}

func (s *starvingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(req)
	if s.starves {
		s.err = starve()
	}
	return resp, err
}

type starveArgs struct {
	diskArgs
	At string
}

// Starved loses SQLite's memory at one moment.
func (children) Starved(l *testkit.Link) error {
	var args starveArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	path := filepath.Join(args.Folder, "agent.db")
	wire := &starvingTransport{starves: args.At == "outcome"}
	opts := []idem.Option{idem.WithPolicy("*", clientkit.Stripe()), idem.WithTransport(wire)}
	if args.At == "open" {
		if err := starve(); err != nil {
			return err
		}
		_, err := idem.Open(path, opts...)
		l.Say("open: %v", err)
		return nil
	}
	c, err := idem.Open(path, opts...)
	if err != nil {
		return err
	}
	if args.At == "begin" {
		if err := starve(); err != nil {
			return err
		}
	}
	l.Say("%s", callEnd(c.Do(largeInvoice(args.URL), idem.Operation{Name: "charge", ID: args.At})))
	l.Say("again: %s", callEnd(c.Do(largeInvoice(args.URL), idem.Operation{Name: "charge", ID: args.At})))
	c.Close() // what cannot be written now is found by the next process
	return wire.err
}

func TestSQLiteOutOfMemory(t *testing.T) {
	t.Parallel()
	s := clientkit.NewServer(t)
	require.NoError(t, s.Script(idemtest.Fault{Kind: idemtest.BigBody, Size: 600 << 10}))
	folder := t.TempDir()
	path := filepath.Join(folder, "agent.db")
	starved := func(at string) *testkit.Process {
		return testkit.StartChild(t, "Starved", starveArgs{diskArgs{Folder: folder, URL: s.URL()}, at})
	}
	says := func(p *testkit.Process, words ...string) string {
		t.Helper()
		line := p.Hear()
		for _, word := range words {
			require.Contains(t, line, word)
		}
		return line
	}
	p := starved("outcome")
	says(p, "200, 614400 bytes, object true", idem.ErrUnrecorded.Error(), "charge outcome", "out of memory")
	says(p, "again: no reply", "takes nothing more", "open it again", "nothing was sent")
	p.Wait()
	require.Len(t, s.Arrivals(), 1, "a process that knows the outcome does not send again")

	p = starved("begin")
	line := says(p, "no reply", "charge begin", "out of memory", "nothing was sent")
	require.NotContains(t, line, "in doubt")
	says(p, "again: no reply", "nothing was sent")
	p.Wait()
	require.Len(t, s.Arrivals(), 1, "nothing was sent that could not be recorded")

	p = starved("open")
	says(p, "open: idem: opening the journal "+path, "out of memory")
	p.Wait()

	c := clientkit.NewClient(t, path, idem.WithPolicy("*", clientkit.Stripe()))
	report, err := c.Recover(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, 1, report.Succeeded, "what had been sent is asked for again under its key, by %+v", report)
	require.Len(t, s.Effects(), 1)
	for _, id := range []string{"outcome", "begin"} {
		_, err := c.Do(largeInvoice(s.URL()), idem.Operation{Name: "charge", ID: id})
		require.NoError(t, err)
	}
	require.Len(t, s.Effects(), 2)
}

// ReadOnlyDisk has a journal on a disk that is mounted read-only later.
func (children) ReadOnlyDisk(l *testkit.Link) error {
	var args diskArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	if err := syscall.Mount("idem", args.Folder, "tmpfs", 0, "size=8m"); err != nil {
		l.Say("no namespace: mount: %v", err)
		return nil
	}
	l.Say("a disk")
	for _, name := range []string{"closed.db", "killed.db"} {
		c, err := idem.Open(filepath.Join(args.Folder, name), idem.WithPolicy("*", clientkit.Stripe()))
		if err != nil {
			return err
		}
		l.Say("%s", callEnd(c.Do(largeInvoice(args.URL), idem.Operation{Name: "charge", ID: name})))
		if err := c.Close(); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(args.Folder, "killed.db-wal"), nil, 0o600); err != nil {
		return err
	}
	if err := syscall.Mount("idem", args.Folder, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		return err
	}
	for _, name := range []string{"closed.db", "killed.db", "new.db"} {
		_, err := idem.Open(filepath.Join(args.Folder, name))
		l.Say("open: %v", err)
	}
	if err := syscall.Mount("idem", args.Folder, "tmpfs", syscall.MS_REMOUNT, ""); err != nil {
		return err
	}
	for _, name := range []string{"closed.db", "killed.db"} {
		c, err := idem.Open(filepath.Join(args.Folder, name), idem.WithPolicy("*", clientkit.Stripe()))
		if err != nil {
			return err
		}
		l.Say("%s", callEnd(c.Do(largeInvoice(args.URL), idem.Operation{Name: "charge", ID: name})))
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}

func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	s := clientkit.NewServer(t)
	child := testkit.StartChild(t, "InNamespace", diskArgs{Folder: t.TempDir(), URL: s.URL(), Child: "ReadOnlyDisk"})
	if first := child.Hear(); strings.HasPrefix(first, "no namespace") {
		child.Wait()
		t.Skipf("LOUD: a read-only disk needs a mount namespace, which this system does not give: %s", first)
	}
	require.Contains(t, child.Hear(), "200")
	require.Contains(t, child.Hear(), "200")
	for _, name := range []string{"closed.db", "killed.db", "new.db"} {
		line := child.Hear()
		require.Contains(t, line, name)
		require.Regexp(t, "open: idem: opening the journal .*read-only", line)
	}
	require.Contains(t, child.Hear(), "200")
	require.Contains(t, child.Hear(), "200")
	child.Wait()
	require.Len(t, s.Arrivals(), 2, "each was sent once, and the outcomes were not forgotten")
}
