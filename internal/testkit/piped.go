package testkit

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// Piped starts this test binary again with one more environment variable,
// "NAME=value", and returns the process's standard output and input. kill kills the
// process, and fails if it has ended before. If the process was not killed, the test's
// cleanup closes its input, upon which it must end without an error.
func Piped(t testing.TB, variable string) (out io.Reader, in io.Writer, kill func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), variable)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, nil, err
	}
	t.Cleanup(func() {
		require.NoError(t, IgnoreClosed(stdin.Close()))
		if cmd.ProcessState == nil {
			require.NoError(t, cmd.Wait())
		}
	})
	kill = func() error {
		if err := cmd.Process.Kill(); err != nil {
			return err
		}
		if err := cmd.Wait(); err == nil {
			return errors.New("the child ended before it was killed")
		}
		return nil
	}
	return stdout, stdin, kill, nil
}
