package idemtest_test

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"

	"github.com/idem-go/idem/idemtest"
	"github.com/stretchr/testify/require"
)

// fileSizeEnv is the largest file that a server process may write, in bytes.
const fileSizeEnv = "IDEMTEST_SERVER_FILE_SIZE"

func limitFileSize() {
	text := os.Getenv(fileSizeEnv)
	if text == "" {
		return
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err == nil {
		signal.Ignore(syscall.SIGXFSZ) // so that the write fails instead
		err = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

// A store that cannot be written is never built on: the request that could not
// be remembered, and every later one, gets no reply, Close says why, and what
// was answered before is still there afterwards.
func TestStoreThatFailsAnswersNothing(t *testing.T) {
	t.Parallel()
	store := t.TempDir() + "/ledger"
	p := startProcess(t, store, fileSizeEnv+"=12000")
	a := p.agent()
	answered := 0
	for ; ; answered++ {
		require.Less(t, answered, 100, "the limit was never met")
		if got := a.create("key-" + strconv.Itoa(answered)); got.err != nil {
			break
		}
	}
	require.Positive(t, answered)
	require.Error(t, a.create("key-0").err, "not even a replay")
	require.Equal(t, 2, p.stop())
	require.Contains(t, p.stderr.String(), "file too large")

	s := idemtest.Start(t, idemtest.WithStore(store))
	b := newAgent(t, s)
	for i := range answered {
		require.Equal(t, "true", b.create("key-"+strconv.Itoa(i)).header.Get("Idempotent-Replayed"))
	}
	require.Empty(t, s.Check())
}
