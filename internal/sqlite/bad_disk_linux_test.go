//go:build cgo

package sqlite_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
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

// A disk that takes nothing more: what cannot be made durable is not sent, what is
// known is handed out all the same, and nothing that was recorded is lost.

// diskArgs is what the children of these tests work on.
type diskArgs struct {
	Folder, URL string
	Child       string // that InNamespace starts
}

// InNamespace starts another child with a mount namespace of its own, where it can
// have a disk of any size. Without root that takes a user namespace as well.
func (children) InNamespace(l *testkit.Link) error {
	var args diskArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	given, err := json.Marshal(args)
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), testkit.ChildEnv+"="+args.Child, testkit.ChildArgs+"="+string(given))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
	in, err := cmd.StdinPipe() // open as long as this process lives
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		l.Say("no namespace: %v", err)
		return nil
	}
	return errors.Join(cmd.Wait(), testkit.IgnoreClosed(in.Close()))
}

// fill takes all the room there is on a disk.
func fill(folder string) error {
	f, err := os.Create(filepath.Join(folder, "filler"))
	if err != nil {
		return err
	}
	for _, size := range []int{64 << 10, 4 << 10, 512, 1} {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
		err = nil
	}
	return f.Close()
}

func unfill(folder string) error { return os.Remove(filepath.Join(folder, "filler")) }

// largeInvoice is longer than what a WAL keeps room for.
func largeInvoice(url string) *http.Request {
	req, err := testkit.InvoiceRequest(url, 500)
	if err != nil {
		panic(err) // of a URL that the test made
	}
	body := "amount=500&currency=usd&metadata[pad]=" + strings.Repeat("x", 300<<10)
	req.Body, req.ContentLength, req.GetBody = io.NopCloser(strings.NewReader(body)), int64(len(body)), nil
	return req
}

// callEnd is a call's end in one line.
func callEnd(resp *http.Response, err error) string {
	text := "no reply"
	if resp != nil {
		body, readErr := io.ReadAll(resp.Body)
		text = fmt.Sprintf("%d, %d bytes, object %v", resp.StatusCode, len(body), bytes.Contains(body, []byte(`"object"`)) && readErr == nil)
	}
	var kinds []string
	for _, kind := range []error{idem.ErrInDoubt, idem.ErrUnrecorded, idem.ErrMaybeRecorded, idem.ErrNotSent, syscall.ENOSPC} {
		if errors.Is(err, kind) {
			kinds = append(kinds, kind.Error())
		}
	}
	return fmt.Sprintf("%s; %s; %v", text, strings.Join(kinds, ", "), err)
}

// fillingTransport fills the disk once a reply is there, if it is told to.
type fillingTransport struct {
	folder string
	fill   bool
	err    error
}

func (f *fillingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(req)
	if f.fill {
		f.err = fill(f.folder)
	}
	return resp, err
}

// FullDisk works on a disk of 8 MiB and fills it at the worst moments.
func (children) FullDisk(l *testkit.Link) error {
	var args diskArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	if err := syscall.Mount("idem", args.Folder, "tmpfs", 0, "size=8m"); err != nil {
		l.Say("no namespace: mount: %v", err)
		return nil
	}
	l.Say("a disk of 8 MiB")
	path := filepath.Join(args.Folder, "agent.db")
	wire := &fillingTransport{folder: args.Folder}
	opts := []idem.Option{idem.WithPolicy("*", clientkit.Stripe()), idem.WithTransport(wire)}

	if err := fill(args.Folder); err != nil {
		return err
	}
	_, err := idem.Open(path, opts...)
	l.Say("open: %v", err)
	if err := unfill(args.Folder); err != nil {
		return err
	}
	c, err := idem.Open(path, opts...)
	if err != nil {
		return err
	}
	do := func(id string) string {
		return callEnd(c.Do(largeInvoice(args.URL), idem.Operation{Name: "charge", ID: id}))
	}
	l.Say("first: %s", do("first"))
	if err := fill(args.Folder); err != nil {
		return err
	}
	l.Say("begin on a full disk: %s", do("second"))
	l.Say("replay on a full disk: %s", do("first"))
	if err := unfill(args.Folder); err != nil {
		return err
	}
	l.Say("with room again: %s", do("second"))

	wire.fill = true
	l.Say("full before the outcome: %s", do("third"))
	wire.fill = false
	l.Say("asked again: %s", do("third"))
	if err := errors.Join(wire.err, unfill(args.Folder)); err != nil {
		return err
	}
	l.Say("recorded: %s", do("third"))
	return c.Close()
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := clientkit.NewServer(t)
	require.NoError(t, s.Script(idemtest.Fault{}, idemtest.Fault{}, idemtest.Fault{Kind: idemtest.BigBody, Size: 600 << 10}))
	child := testkit.StartChild(t, "InNamespace", diskArgs{Folder: t.TempDir(), URL: s.URL(), Child: "FullDisk"})
	first := child.Hear()
	if strings.HasPrefix(first, "no namespace") {
		child.Wait()
		t.Skipf("a full disk needs a mount namespace, which this system does not give (%s): only the limit of a file's size is tested", first)
	}
	require.Equal(t, "a disk of 8 MiB", first)
	next := func(says ...string) string {
		t.Helper()
		line := child.Hear()
		for _, word := range says {
			require.Contains(t, line, word)
		}
		return line
	}
	next("open: idem: opening the journal ", "disk is full")
	next("first: 200", "; ; <nil>")
	line := next("begin on a full disk: no reply", "charge second", "disk is full", "nothing was sent", "the same ID")
	require.NotContains(t, line, "in doubt")
	require.Len(t, s.Arrivals(), 1, "nothing was sent that could not be recorded")
	next("replay on a full disk: 200", "; ; <nil>")
	next("with room again: 200", "; ; <nil>")
	next("full before the outcome: 200, 614400 bytes, object true", idem.ErrUnrecorded.Error(), "charge third", "could not record", "disk is full", "will not send it again")
	next("asked again: 200, 614400 bytes, object true", idem.ErrUnrecorded.Error())
	next("recorded: 200, 614400 bytes, object true; ; <nil>")
	child.Wait()
	require.Len(t, s.Effects(), 3)
	require.Len(t, s.Arrivals(), 3, "each was sent once")
}

// FileSizeLimit works under a limit of the size of any file, which fails a COMMIT
// half-way: SQLite then cannot tell what is on the disk.
func (children) FileSizeLimit(l *testkit.Link) error {
	var args diskArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ)
	path := filepath.Join(args.Folder, "agent.db")
	c, err := idem.Open(path, idem.WithPolicy("*", clientkit.Stripe()))
	if err != nil {
		return err
	}
	do := func(id string) string {
		return callEnd(c.Do(largeInvoice(args.URL), idem.Operation{Name: "charge", ID: id}))
	}
	l.Say("first: %s", do("first"))
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 200 << 10, Max: before.Max}); err != nil {
		return err
	}
	l.Say("under the limit: %s", do("second"))
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	l.Say("without it: %s", do("second"))
	l.Say("replay: %s", do("first"))
	l.Say("close: %v", c.Close())
	if c, err = idem.Open(path, idem.WithPolicy("*", clientkit.Stripe())); err != nil {
		return err
	}
	l.Say("reopened: %s", do("second"))
	l.Say("replay: %s", do("first"))
	return c.Close()
}

// After an I/O error at COMMIT nothing more is written until the journal is opened
// again: an fsync that failed once may not be tried again and believed.
func TestFileSizeLimit(t *testing.T) {
	t.Parallel()
	s := clientkit.NewServer(t)
	folder := t.TempDir()
	child := testkit.StartChild(t, "FileSizeLimit", diskArgs{Folder: folder, URL: s.URL()})
	next := func(says ...string) {
		t.Helper()
		line := child.Hear()
		for _, word := range says {
			require.Contains(t, line, word)
		}
	}
	next("first: 200", "; ; <nil>")
	next("under the limit: no reply", idem.ErrMaybeRecorded.Error(), "charge second", "file too large", "nothing was sent", "same ID only")
	next("without it: no reply", "charge second", "takes nothing more", "close the client", "open it again", "nothing was sent")
	next("replay: 200", "; ; <nil>")
	next("close: ", "")
	next("reopened: 200", "; ; <nil>")
	next("replay: 200", "; ; <nil>")
	child.Wait()
	require.Len(t, s.Effects(), 2)
	require.Len(t, s.Arrivals(), 2)
	clientkit.CheckJournal(t, filepath.Join(folder, "agent.db"))
}

// AsNobody opens a journal as a user who may read nothing else.
func (children) AsNobody(l *testkit.Link) error {
	var args diskArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	if os.Getuid() == 0 {
		if err := errors.Join(syscall.Setgid(65534), syscall.Setuid(65534)); err != nil {
			return err
		}
	}
	for _, name := range []string{"closed/agent.db", "others.db", "unwritable/agent.db"} {
		_, err := idem.Open(filepath.Join(args.Folder, name))
		l.Say("%v", err)
	}
	return nil
}

// What the system forbids is said with the file it forbids.
func TestNoPermission(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for dir, mode := range map[string]os.FileMode{"closed": 0o000, "unwritable": 0o777} {
		require.NoError(t, os.Mkdir(filepath.Join(folder, dir), 0o755))
		if dir == "unwritable" {
			c, err := idem.Open(filepath.Join(folder, dir, "agent.db"))
			require.NoError(t, err)
			require.NoError(t, c.Close())
			require.NoError(t, os.Chmod(filepath.Join(folder, dir, "agent.db"), 0o666))
			require.NoError(t, os.Remove(filepath.Join(folder, dir, "agent.db.owners")))
			mode = 0o555
		}
		require.NoError(t, os.Chmod(filepath.Join(folder, dir), mode))
		t.Cleanup(func() { require.NoError(t, os.Chmod(filepath.Join(folder, dir), 0o700)) })
	}
	testkit.SQLiteFile(t, filepath.Join(folder, "others.db"), "CREATE TABLE theirs (x)")
	require.NoError(t, os.Chmod(filepath.Join(folder, "others.db"), 0o200))
	require.NoError(t, os.Chmod(filepath.Dir(folder), 0o755)) // the test's own folder, which nobody else may enter
	child := testkit.StartChild(t, "AsNobody", diskArgs{Folder: folder})
	for _, x := range [][2]string{{"closed/agent.db", "permission denied"}, {"others.db", "permission"}, {"unwritable/agent.db", "its folder is read-only"}} {
		line := child.Hear()
		require.Contains(t, line, "idem: opening the journal "+filepath.Join(folder, x[0]))
		require.Contains(t, line, x[1])
	}
	child.Wait()
}
