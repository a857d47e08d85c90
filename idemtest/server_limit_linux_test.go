package idemtest_test

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
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
	require.Equal(t, 200, a.create("key-0").status)
	require.Equal(t, 200, a.create("key-1").status)
	large := invoice + "&description=" + strings.Repeat("x", 12000)
	require.Error(t, a.send("POST", "/v1/invoices", "key-2", large).err)
	// A hole in the ledger would be worse than silence.
	require.Error(t, a.create("key-0").err, "not even a replay")
	require.Error(t, a.create("key-3").err)
	require.Equal(t, 2, p.stop())
	require.Contains(t, p.stderr.String(), "file too large")

	s := idemtest.Start(t, idemtest.WithStore(store))
	b := newAgent(t, s)
	require.Equal(t, "true", b.create("key-0").header.Get("Idempotent-Replayed"))
	require.Equal(t, "true", b.create("key-1").header.Get("Idempotent-Replayed"))
	require.Len(t, s.Effects(), 2)
	require.Equal(t, 200, b.send("POST", "/v1/invoices", "key-2", large).status)
	require.Empty(t, s.Check())
}
