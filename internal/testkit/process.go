package testkit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ChildEnv, ChildArgs = "IDEM_TEST_CHILD", "IDEM_TEST_CHILD_ARGS"

// Main runs a package's tests, or, in a process that StartChild started, the
// method of children that it names: a func(*Link) error.
func Main(m *testing.M, children any) {
	if name := os.Getenv(ChildEnv); name != "" {
		os.Exit(runChild(children, name))
	}
	os.Exit(m.Run())
}

// Link is the child's end of the line to its parent.
type Link struct{ lines chan string }

func runChild(children any, name string) int {
	method := reflect.ValueOf(children).MethodByName(name)
	if !method.IsValid() {
		fmt.Fprintln(os.Stderr, "no such child:", name)
		return 2
	}
	program, ok := method.Interface().(func(*Link) error)
	if !ok {
		fmt.Fprintln(os.Stderr, "no such child:", name)
		return 2
	}
	l := &Link{lines: make(chan string)}
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

// Args fills in what the parent gave.
func (l *Link) Args(to any) error { return json.Unmarshal([]byte(os.Getenv(ChildArgs)), to) }

// Say sends the parent a line.
func (l *Link) Say(format string, args ...any) {
	fmt.Println(strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " "))
}

// Hear waits for a line from the parent. A child whose parent is gone ends.
func (l *Link) Hear() string { return <-l.lines }

// Process is the parent's end of a child.
type Process struct {
	t      testing.TB
	Cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	Stderr *strings.Builder
	over   bool
}

// StartChild starts the child that has this name, with args as JSON. A child that
// still runs when the test ends is killed.
func StartChild(t testing.TB, name string, args any) *Process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	given, err := json.Marshal(args)
	require.NoError(t, err)
	p := &Process{t: t, Cmd: exec.Command(self), Stderr: &strings.Builder{}}
	p.Cmd.Env = append(os.Environ(), ChildEnv+"="+name, ChildArgs+"="+string(given),
		"GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0") // with -race a process lingers for a second otherwise
	p.Cmd.Stderr = p.Stderr
	p.in, err = p.Cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.Cmd.StdoutPipe()
	require.NoError(t, err)
	p.out = bufio.NewScanner(out)
	p.out.Buffer(nil, 1<<24)
	require.NoError(t, p.Cmd.Start())
	t.Cleanup(func() {
		if !p.over {
			p.Kill()
		}
	})
	return p
}

// Hear waits for the child's next line.
func (p *Process) Hear() string {
	p.t.Helper()
	hangs := time.AfterFunc(time.Minute, func() { p.Cmd.Process.Kill() })
	defer hangs.Stop()
	if !p.out.Scan() {
		err := p.end()
		require.FailNow(p.t, "the child ended without a word", "%v: %s", err, p.Stderr)
	}
	return p.out.Text()
}

// Expect waits for the child's next line, which is this one.
func (p *Process) Expect(line string) {
	p.t.Helper()
	require.Equal(p.t, line, p.Hear())
}

// Tell sends the child a line.
func (p *Process) Tell(line string) {
	p.t.Helper()
	_, err := io.WriteString(p.in, line+"\n")
	require.NoError(p.t, err)
}

// Kill is SIGKILL: the child gets no chance to write or unlock anything.
func (p *Process) Kill() {
	p.t.Helper()
	require.NoError(p.t, p.Cmd.Process.Kill())
	require.Error(p.t, p.end())
}

// Wait waits until the child is done, without an error.
func (p *Process) Wait() {
	p.t.Helper()
	for p.out.Scan() {
		p.t.Logf("child: %s", p.out.Text())
	}
	require.NoError(p.t, p.end(), "%s", p.Stderr)
}

func (p *Process) end() error {
	p.over = true
	err := p.Cmd.Wait()
	return errors.Join(err, IgnoreClosed(p.in.Close()))
}

func IgnoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// KillAt kills a loop at a random one of its points, at once or when a request of
// its has arrived; nil: never. It tells whether it came to be killed.
func (p *Process) KillAt(random *rand.Rand) bool {
	p.t.Helper()
	left := -1
	if random != nil {
		left = random.IntN(17)
	}
	for ; left != 0; left-- {
		if p.Hear() == "finished" {
			p.Wait()
			return false
		}
	}
	if random.IntN(2) == 0 { // somewhere behind the point rather than at it
		for range random.IntN(200_000) {
			random.Uint64()
		}
	}
	require.NoError(p.t, p.Cmd.Process.Kill())
	return p.end() != nil // it may have come to its end first
}
