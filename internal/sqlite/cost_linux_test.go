//go:build cgo

package sqlite_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

type pairsArgs struct {
	Path           string
	Callers, Pairs int
	Marked         bool
	Scope          string
	Waits          bool // says that it is ready, and begins when told
}

// Pairs is a child that carries out so many intents, from so many callers at once,
// against a far side that answers without a socket.
func (children) Pairs(l *testkit.Link) error {
	var args pairsArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	policy := idem.Policy{Contract: idem.Stripe()}
	if args.Marked {
		policy = idem.Policy{}
	}
	c, err := idem.Open(args.Path, idem.WithPolicy("charge", policy), idem.WithTransport(clientkit.Instant{Body: `{"id":"ch_1"}`}))
	if err != nil {
		return err
	}
	if args.Waits {
		l.Say("ready")
		l.Hear()
	}
	var wg sync.WaitGroup
	failed := make(chan error, args.Callers)
	for caller := range args.Callers {
		wg.Go(func() {
			for i := caller; i < args.Pairs; i += args.Callers {
				req, err := http.NewRequest(http.MethodPost, "http://api.invalid/v1/charges", strings.NewReader("amount=500"))
				if err == nil {
					_, err = c.Do(req, idem.Operation{Name: "charge", Scope: args.Scope, ID: fmt.Sprintf("order-%d", i)})
				}
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return c.Close()
	}
}

// syncs counts the fsyncs of a child that makes so many pairs.
func syncs(t *testing.T, args pairsArgs) int {
	t.Helper()
	args.Path = testkit.NewPath(t)
	given, err := json.Marshal(args)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	log := filepath.Join(t.TempDir(), "strace")
	cmd := exec.Command("strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=fsync,fdatasync", "-o", log, self)
	cmd.Env = append(os.Environ(), testkit.ChildEnv+"=Pairs", testkit.ChildArgs+"="+string(given),
		"GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
	stdin, err := cmd.StdinPipe() // a child whose parent's end is closed ends at once
	require.NoError(t, err)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, testkit.IgnoreClosed(stdin.Close()))
	clientkit.CheckJournal(t, args.Path)
	text, err := os.ReadFile(log)
	require.NoError(t, err)
	return bytes.Count(text, []byte("sync(")) // a call that was interrupted in the trace is "resumed" without it
}

// An intent under a contract that keeps keys costs two durable writes and no hidden
// ones; an operation without a contract costs three; 64 callers share theirs. What
// opening, closing and the checkpoints cost is counted apart.
func TestFsyncsPerPair(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("LOUD: strace is not installed, so the fsyncs of an intent are not counted; install it: apt-get install strace")
	}
	const pairs = 120
	none := syncs(t, pairsArgs{Callers: 1, Pairs: 0})
	first := syncs(t, pairsArgs{Callers: 1, Pairs: 1})
	per := func(args pairsArgs) float64 {
		return float64(syncs(t, args)-first) / float64(args.Pairs-1)
	}
	t.Logf("%d fsyncs to open and close, %d with one pair", none, first)

	alone := per(pairsArgs{Callers: 1, Pairs: pairs})
	t.Logf("one caller: %.3f fsyncs a pair", alone)
	require.GreaterOrEqual(t, alone, 2.0, "each of the two writes is durable before it is acknowledged")
	require.LessOrEqual(t, alone, 2.06, "two writes and, now and then, a checkpoint")

	marked := per(pairsArgs{Callers: 1, Pairs: pairs, Marked: true})
	t.Logf("one caller, no contract: %.3f fsyncs a pair", marked)
	require.GreaterOrEqual(t, marked, 3.0)
	require.LessOrEqual(t, marked, 3.09)

	together := per(pairsArgs{Callers: 64, Pairs: 25 * pairs})
	t.Logf("64 callers: %.3f fsyncs a pair", together)
	require.Less(t, together, 0.1, "callers share transactions")
}
