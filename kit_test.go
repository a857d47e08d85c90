package idem_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/stretchr/testify/require"
)

// secret is what the server's callers prove themselves with. It must never be
// found in a journal.
const secret = "sk_test_idem"

// testCtx ends with the test, or in a minute: nothing here takes so long unless it
// hangs.
func testCtx(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// newServer starts a server whose ledger must be in order when the test ends.
func newServer(t testing.TB, opts ...idemtest.ServerOption) *idemtest.Server {
	s := idemtest.Start(t, opts...)
	t.Cleanup(func() { requireNone(t, s.Check()) })
	return s
}

// newClient opens a journal. When the test ends it closes the client and checks
// the journal.
func newClient(t testing.TB, path string, opts ...idem.Option) *idem.Client {
	t.Helper()
	c, err := idem.Open(path, opts...)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		checkJournal(t, path)
	})
	return c
}

// newPath is the path of a journal that is not there yet.
func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "agent.db") }

// world is a server and the path of one journal. When the test ends, and every
// client and child is gone, the journal must fit the server's ledger.
type world struct {
	t      testing.TB
	server *idemtest.Server
	path   string

	// unchecked are the keys that the ledger and the journal do not agree about, on
	// purpose: a person resolved them to something that is not so.
	unchecked []string
	// otherBytes says that what arrives is not the payload: the key is put into it.
	otherBytes bool
}

func newWorld(t testing.TB, opts ...idemtest.ServerOption) *world {
	t.Helper()
	w := &world{t: t, server: idemtest.Start(t, opts...), path: newPath(t)}
	t.Cleanup(func() {
		if _, err := os.Stat(w.path); err != nil {
			require.Empty(t, w.server.Effects(), "effects without a journal")
			return
		}
		checkJournal(t, w.path)
		requireNone(t, w.server.Check())
		requireNone(t, w.server.CheckAgainst(w.known()))
	})
	return w
}

// open opens the journal; the client is closed when the test ends.
func (w *world) open(opts ...idem.Option) *idem.Client {
	w.t.Helper()
	return newClient(w.t, w.path, opts...)
}

// known is what the journal says, as the server's checker wants it. No client may
// have the journal open in this process.
func (w *world) known() []idemtest.KnownIntent {
	names := map[idem.State]string{idem.Pending: "pending", idem.Succeeded: "succeeded", idem.Failed: "failed", idem.InDoubt: "indoubt"}
	var known []idemtest.KnownIntent
	for _, in := range readJournal(w.t, w.path) {
		k := idemtest.KnownIntent{
			Key: in.Key(), State: names[in.State()], Outcome: in.Outcome(), Body: in.PayloadHash(),
			Attempts: in.Attempts(), FirstSent: in.FirstSent(),
		}
		if w.otherBytes {
			k.Body = ""
		}
		for _, key := range w.unchecked {
			if key == k.Key {
				k.State, k.Outcome = "pending", nil
			}
		}
		known = append(known, k)
	}
	return known
}

// invoice is a request that creates an invoice of so many cents.
func (w *world) invoice(cents int) *http.Request { return newInvoice(w.t, w.server.URL(), cents) }

func newInvoice(t testing.TB, server string, cents int) *http.Request {
	req, err := invoiceRequest(server, cents)
	require.NoError(t, err)
	return req
}

func invoiceRequest(server string, cents int) (*http.Request, error) {
	req, err := http.NewRequest(http.MethodPost, server+"/v1/invoices", strings.NewReader(fmt.Sprintf("amount=%d&currency=usd", cents)))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Accept", "application/json")
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	return req, err
}

// quick tries often and hardly waits.
func quick() idem.Retry {
	return idem.Retry{MaxAttempts: 4, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond, AttemptTimeout: 20 * time.Second}
}

// stripe is a policy for the test server, whose attempts prove who they are when
// they are recovered too.
func stripe() idem.Policy { return policyOf(idem.Stripe()) }

// promisesNothing is the policy of a far side whose contract is zero.
func promisesNothing() idem.Policy { return policyOf(idem.Contract{}) }

func policyOf(c idem.Contract) idem.Policy {
	return idem.Policy{Contract: c, Retry: quick(), Authorize: func(r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+secret)
		return nil
	}}
}

// bodyOf reads a reply's body.
func bodyOf(t testing.TB, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return string(body)
}

func requireNone(t testing.TB, violations []idemtest.Violation) {
	t.Helper()
	for _, v := range violations {
		t.Errorf("the server's ledger: %v", v)
	}
}

// A child is this test binary, started again as a process of its own, so that it
// can be killed. Each method of children is one program that a child can be; any
// file may add some.
type children struct{}

const childEnv, childArgs = "IDEM_TEST_CHILD", "IDEM_TEST_CHILD_ARGS"

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		os.Exit(runChild(name))
	}
	os.Exit(m.Run())
}

// link is the child's end of the line to its parent.
type link struct{ lines chan string }

func runChild(name string) int {
	program, ok := reflect.ValueOf(children{}).MethodByName(name).Interface().(func(*link) error)
	if !ok {
		fmt.Fprintln(os.Stderr, "no such child:", name)
		return 2
	}
	l := &link{lines: make(chan string)}
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			l.lines <- in.Text()
		}
		os.Exit(3) // the parent is gone
	}()
	if err := program(l); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// args fills in what the parent gave.
func (l *link) args(to any) error { return json.Unmarshal([]byte(os.Getenv(childArgs)), to) }

// say sends the parent a line.
func (l *link) say(format string, args ...any) {
	fmt.Println(strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " "))
}

// hear waits for a line from the parent. A child whose parent is gone ends.
func (l *link) hear() string { return <-l.lines }

// process is the parent's end of a child.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	stderr *strings.Builder
	over   bool
}

// startChild starts the child that has this name, with args as JSON. A child that
// still runs when the test ends is killed.
func startChild(t testing.TB, name string, args any) *process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	given, err := json.Marshal(args)
	require.NoError(t, err)
	p := &process{t: t, cmd: exec.Command(self), stderr: &strings.Builder{}}
	p.cmd.Env = append(os.Environ(), childEnv+"="+name, childArgs+"="+string(given),
		"GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0") // with -race a process lingers for a second otherwise
	p.cmd.Stderr = p.stderr
	p.in, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.out = bufio.NewScanner(out)
	p.out.Buffer(nil, 1<<24)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		if !p.over {
			p.kill()
		}
	})
	return p
}

// hear waits for the child's next line.
func (p *process) hear() string {
	p.t.Helper()
	hangs := time.AfterFunc(time.Minute, func() { p.cmd.Process.Kill() })
	defer hangs.Stop()
	if !p.out.Scan() {
		err := p.end()
		require.FailNow(p.t, "the child ended without a word", "%v: %s", err, p.stderr)
	}
	return p.out.Text()
}

// expect waits for the child's next line, which is this one.
func (p *process) expect(line string) {
	p.t.Helper()
	require.Equal(p.t, line, p.hear())
}

// tell sends the child a line.
func (p *process) tell(line string) {
	p.t.Helper()
	_, err := io.WriteString(p.in, line+"\n")
	require.NoError(p.t, err)
}

// kill is SIGKILL: the child gets no chance to write or unlock anything.
func (p *process) kill() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Kill())
	require.Error(p.t, p.end())
}

// wait waits until the child is done, without an error.
func (p *process) wait() {
	p.t.Helper()
	for p.out.Scan() {
		p.t.Logf("child: %s", p.out.Text())
	}
	require.NoError(p.t, p.end(), "%s", p.stderr)
}

func (p *process) end() error {
	p.over = true
	err := p.cmd.Wait()
	return errors.Join(err, ignoreClosed(p.in.Close()))
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
