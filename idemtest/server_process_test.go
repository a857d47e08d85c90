package idemtest_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/idem-go/idem/idemtest"
	"github.com/stretchr/testify/require"
)

// serverEnv makes the test binary run as a server process with the store that
// it names.
const serverEnv = "IDEMTEST_SERVER_STORE"

func init() {
	path := os.Getenv(serverEnv)
	if path == "" {
		return
	}
	limitFileSize()
	s, err := idemtest.NewServer(idemtest.WithStore(path), idemtest.WithControl())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.URL())
	// Until the test closes the pipe, or kills the process.
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := s.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(0)
}

// process is a server in a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *strings.Builder
	url    string
}

func startProcess(t *testing.T, store string, env ...string) *process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	p := &process{t: t, cmd: exec.CommandContext(ctx(t), self), stderr: &strings.Builder{}}
	p.cmd.Env = append(append(os.Environ(), serverEnv+"="+store), env...)
	p.cmd.Stderr = p.stderr
	p.stdin, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, p.stderr)
	p.url = strings.TrimSpace(line)
	return p
}

// kill is SIGKILL: the process gets no chance to write anything more.
func (p *process) kill() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Kill())
	require.Error(p.t, p.cmd.Wait())
}

// stop ends the process in good order and returns its exit code.
func (p *process) stop() int {
	p.t.Helper()
	require.NoError(p.t, p.stdin.Close())
	_ = p.cmd.Wait() // the code says it
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) agent() *agent {
	t := p.t
	s := idemtest.Start(t) // for its client only
	return &agent{t: t, client: s.Client(), base: p.url, secret: "sk_test_idem"}
}
