package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// programEnv makes the test binary run as the program itself. The program starts
// itself again as server and agents, which inherit it.
const programEnv = "IDEM_CRASH_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// program runs the example as a process whose folder for temporary files is its
// own, and returns what it wrote and its exit code. It leaves no file behind.
func program(t *testing.T, args ...string) (out, errOut string, code int) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	folder := t.TempDir()
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), programEnv+"=1", "TMPDIR="+folder, "TEMP="+folder, "TMP="+folder, "GORACE=atexit_sleep_ms=0")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		require.True(t, errors.As(err, &exit), "%v", err)
	}
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, left, "files left behind")
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// One intent, one key, one effect, across a real crash: an agent killed after the
// effect and before the reply was read sends the same key and bytes again, and
// the same crash bills an order twice without a journal.
func TestTheSameCrashBillsOnceWithIdem(t *testing.T) {
	t.Parallel()
	out, errOut, code := program(t)
	require.Equal(t, 0, code, "%s\n%s", out, errOut)
	require.Empty(t, errOut)
	for _, line := range []string{
		`    requests that reached the server +4 +4\n`,
		`    invoices created +4 +3\n`,
		`    charges for order-1001 +1 +1\n`,
		`    charges for order-1002 +2 +1\n`,
		`    charges for order-1003 +1 +1\n`,
		`create_invoice +order-1001 +[0-9a-f-]{36} +succeeded +POST /v1/invoices\n`,
		`create_invoice +order-1002 +[0-9a-f-]{36} +pending, may have been sent +POST /v1/invoices\n`,
		`Recover: 1 finished, 0 failed, 0 in doubt\n`,
		`order-1001: in_1, from the journal, nothing sent\n`,
	} {
		require.Regexp(t, regexp.MustCompile(line), out)
	}
}

// The example can fail: with an empty journal after the restart the agent makes
// new keys, the orders are billed twice, and the program says so and exits 1.
func TestALostJournalIsNoticed(t *testing.T) {
	t.Parallel()
	out, errOut, code := program(t, "-lose-journal")
	require.Equal(t, 1, code, out)
	require.Contains(t, errOut, "with idem order-1002 was charged 2 times, expected 1")
	require.Regexp(t, `charges for order-1002 +2 +2\n`, out)
}

// What cannot be run is refused with a reason.
func TestArguments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"nonsense"}, 1, `there is no "nonsense"`},
		{[]string{"-h"}, 2, "negative control"},
		{[]string{"-what"}, 1, "not defined"},
		{[]string{"server"}, 1, "needs the path"},
		{[]string{"idem-agent", "http://127.0.0.1:1"}, 1, "needs the server's address"},
		{[]string{"plain-agent"}, 1, "needs the server's address"},
	} {
		_, errOut, code := program(t, c.args...)
		require.Equal(t, c.code, code, "%v", c.args)
		require.Contains(t, errOut, c.says)
	}
}
