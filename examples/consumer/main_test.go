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
// itself again as the consumer, which inherits it.
const programEnv = "IDEM_CONSUMER_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
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

// One intent, one effect: a consumer killed before its ack, twice, gets its message
// again and charges it once: under the same key where the reply was lost, out of the
// journal where it was not.
func TestEachMessageIsChargedOnce(t *testing.T) {
	t.Parallel()
	out, errOut, code := program(t)
	require.Equal(t, 0, code, "%s\n%s", out, errOut)
	require.Empty(t, errOut)
	for _, line := range []string{
		`Recover: 1 finished, 0 failed, 0 in doubt\n`,
		`order-2, delivery 2: ch_2, from the journal\n`,
		`order-4, delivery 1: ch_4\n`,
		`order-4, delivery 2: ch_4, from the journal\n`,
		`  2 deliveries were repetitions.\n`,
	} {
		require.Regexp(t, line, out)
	}
	require.Len(t, regexp.MustCompile(`  order-\d  1\n`).FindAllString(out, -1), len(orders()))
}

// The example can fail: with an empty journal in each life the messages that come
// again are charged again, and the program says so and exits 1.
func TestALostJournalIsNoticed(t *testing.T) {
	t.Parallel()
	out, errOut, code := program(t, "-lose-journal")
	require.Equal(t, 1, code, out)
	require.Contains(t, errOut, "not each message's effect happened once")
	require.Regexp(t, `  order-2  2\n`, out)
	require.Regexp(t, `  order-4  2\n`, out)
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
		{[]string{"consume"}, 1, "needs the addresses"},
	} {
		_, errOut, code := program(t, c.args...)
		require.Equal(t, c.code, code, "%v", c.args)
		require.Contains(t, errOut, c.says)
	}
}
