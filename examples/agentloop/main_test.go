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
// itself again as the agent, which inherits it.
const programEnv = "IDEM_AGENTLOOP_PROGRAM"

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

// One intent, one effect: a loop killed between tool call and tool result plans
// anew with other call ids and still does each thing once, and the model hears of
// mismatch, limit and doubt.
func TestEachThingHappensOnce(t *testing.T) {
	t.Parallel()
	out, errOut, code := program(t)
	require.Equal(t, 0, code, "%s\n%s", out, errOut)
	require.Empty(t, errOut)
	for _, line := range []string{
		`Recover: 1 finished, 0 failed, 0 in doubt\n`,
		`Recover: 0 finished, 0 failed, 1 in doubt\n`,
		`send_mail .*\n.*← It may have happened and nobody can tell yet`,
		`refund .*2400.*\n.*← This was asked for before with other values`,
		`send_text .*\(3\).*\n.*← The limit for this action is reached`,
		`refunds of order 1001 +1, of 4200 cents`,
		`mails to ada +1 `,
		`texts to ada +2 `,
	} {
		require.Regexp(t, line, out)
	}
	ids := regexp.MustCompile(`call_[0-9a-f]{6} refund .*4200`).FindAllString(out, -1)
	require.Len(t, ids, 3, "asked for in each life")
	require.NotEqual(t, ids[0][:11], ids[1][:11], "under another call id")
}

// The example can fail: with an empty journal in each life things happen again,
// and the program says so and exits 1.
func TestALostJournalIsNoticed(t *testing.T) {
	t.Parallel()
	out, errOut, code := program(t, "-lose-journal")
	require.Equal(t, 1, code, out)
	require.Contains(t, errOut, "not each thing happened once")
	require.Regexp(t, `refunds of order 1001 +3,`, out)
	require.Regexp(t, `mails to ada +2 `, out)
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
		{[]string{"agent"}, 1, "needs the addresses"},
	} {
		_, errOut, code := program(t, c.args...)
		require.Equal(t, c.code, code, "%v", c.args)
		require.Contains(t, errOut, c.says)
	}
}
