package server_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/server"
	"github.com/stretchr/testify/require"
)

// pairChild serves charges in two ways: /one in one transaction with their
// replies, /two with keys in a journal of their own. What was left uncertain in the
// second it settles when it starts, as a person would, by looking at the charges.
func pairChild() error {
	folder := os.Getenv("IDEM_FOLDER")
	db, err := sql.Open("sqlite3", filepath.Join(folder, "shop.db")+durable)
	if err != nil {
		return err
	}
	one, err := server.SameTransaction(db, server.SQLite)
	if err != nil {
		return err
	}
	two, err := server.Open(filepath.Join(folder, "keys.db"))
	if err != nil {
		return err
	}
	if err := settle(two, db); err != nil {
		return err
	}
	mux := http.NewServeMux()
	for path, s := range map[string]*server.Store{"/one": one, "/two": two} {
		once, err := server.New(s, server.SingleTenant())
		if err != nil {
			return err
		}
		if s == one {
			mux.Handle(path, once(http.HandlerFunc(charge)))
		} else {
			mux.Handle(path, once(separateCharge(db, func(string, string) error { return nil })))
		}
	}
	return errors.Join(listen(mux), one.Close(), two.Close(), db.Close())
}

func settle(s *server.Store, db *sql.DB) error {
	ctx := context.Background()
	for u, err := range s.Uncertain(ctx) {
		if err != nil {
			return err
		}
		var n int
		if err := db.QueryRow("SELECT count(*) FROM charges WHERE key = ?", u.Key).Scan(&n); err != nil {
			return err
		}
		found := idem.Resolution{State: idem.Failed, Note: "no such charge"}
		if n > 0 {
			found = idem.Resolution{State: idem.Succeeded, Result: fmt.Appendf(nil, `{"charged":%q}`, u.Key), Note: "found the charge"}
		}
		if err := s.Resolve(ctx, u.Identity, found); err != nil {
			return err
		}
	}
	return nil
}

// agentChild is a client that recovers what it left open, and then begins one
// operation after another, from IDEM_FROM on, until it is killed; or, with
// IDEM_FINISH, ends when nothing is open any more.
func agentChild() error {
	ctx := context.Background()
	policy := quick()
	policy.Retry = idem.Retry{MaxAttempts: 4, MinBackoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond, AttemptTimeout: 20 * time.Second}
	c, err := idem.Open(filepath.Join(os.Getenv("IDEM_FOLDER"), "agent.db"), idem.WithPolicy("*", policy))
	if err != nil {
		return err
	}
	defer c.Close()
	if os.Getenv("IDEM_FINISH") != "" {
		for range 100 {
			report, err := c.Recover(ctx)
			if err != nil {
				return err
			}
			if report.Succeeded+report.Failed+report.InDoubt+report.Skipped == 0 {
				fmt.Println("finished")
				return c.Close()
			}
		}
		return errors.New("something stays open")
	}
	fmt.Println("ready")
	if _, err := c.Recover(ctx); err != nil {
		return err
	}
	from, err := strconv.Atoi(os.Getenv("IDEM_FROM"))
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	out := bufio.NewWriter(os.Stdout)
	var mu sync.Mutex
	for worker := range 2 {
		wg.Go(func() {
			for i := from + worker; ; i += 2 {
				path := []string{"/one", "/two"}[i/2%2]
				req, err := http.NewRequest(http.MethodPost, os.Getenv("IDEM_URL")+path, strings.NewReader(fmt.Sprint(i)))
				if err != nil {
					return
				}
				req.Header.Set("Content-Type", "application/json")
				resp, err := c.Do(req, operation(fmt.Sprint("op-", i)))
				if err == nil {
					resp.Body.Close()
				} else if !errors.Is(err, idem.ErrInDoubt) {
					fmt.Fprintln(os.Stderr, "agent:", i, err)
				}
				mu.Lock()
				fmt.Fprintln(out, "did", i)
				out.Flush()
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return nil
}

const (
	killRounds = 30 // the lab's -push makes 1,000 of them (lab/pair)
	roundsSeed = 7
)

// TestEitherSideKilledAtRandom tests that each operation has one effect, and that
// client and server agree about its outcome, when either process is killed at random
// times under a network that harms requests and replies.
func TestEitherSideKilledAtRandom(t *testing.T) {
	t.Parallel()
	w := newRounds(t)
	started := time.Now()
	for range killRounds {
		w.round()
	}
	w.finish()
	t.Logf("%d rounds in %v: %d kills of the server, %d of the client, %d operations, one effect each; faults between them: %v",
		killRounds, time.Since(started).Round(time.Second), w.servers, w.agents, w.check(), w.proxy.hits)
}

type rounds struct {
	t       *testing.T
	folder  string
	dice    *rand.Rand
	proxy   *faulty
	server  *child
	agent   *child
	from    int
	seen    chan int // the agent's operations, as it does them
	servers int
	agents  int
}

func newRounds(t *testing.T) *rounds {
	w := &rounds{t: t, folder: t.TempDir(), dice: rand.New(rand.NewPCG(roundsSeed, 1))}
	w.proxy = newFaulty(t, "")
	w.proxy.dice = rand.New(rand.NewPCG(roundsSeed, 2))
	openSQL(t, "sqlite3", filepath.Join(w.folder, "shop.db"))
	w.startServer()
	w.startAgent()
	return w
}

func (w *rounds) startServer() {
	c, url := startChild(w.t, "pair", "IDEM_FOLDER="+w.folder)
	w.server = c
	w.proxy.point(url)
}

func (w *rounds) startAgent() {
	w.agent = newChild(w.t, "agent", "IDEM_FOLDER="+w.folder, "IDEM_URL="+w.proxy.url, "IDEM_FROM="+strconv.Itoa(w.from))
	w.agent.await(w.t, "ready")
	lines, seen := w.agent.lines, make(chan int, 10_000)
	w.seen = seen
	go func() {
		defer close(seen)
		for lines.Scan() {
			if n, err := strconv.Atoi(strings.TrimPrefix(lines.Text(), "did ")); err == nil {
				seen <- n
			}
		}
	}()
}

// round lets a few operations through and kills one side in the midst of the next.
func (w *rounds) round() {
	for range w.dice.IntN(6) {
		w.note(<-w.seen)
	}
	timer := time.NewTimer(time.Duration(w.dice.IntN(4000)) * time.Microsecond)
	<-timer.C
	if w.dice.IntN(2) == 0 {
		w.servers++
		w.proxy.point("")
		w.server.kill(w.t)
		w.startServer()
		return
	}
	w.agents++
	w.stopAgent()
	w.startAgent()
}

func (w *rounds) note(n int) { w.from = max(w.from, n+1) }

func (w *rounds) stopAgent() {
	require.NoError(w.t, w.agent.cmd.Process.Kill())
	for n := range w.seen {
		w.note(n)
	}
	w.agent.gone = true
	w.agent.cmd.Wait()
	require.Empty(w.t, w.agent.errors.String())
}

// finish lets both live, with a good network, until nothing is open.
func (w *rounds) finish() {
	w.stopAgent()
	w.proxy.mu.Lock()
	w.proxy.dice = nil
	w.proxy.mu.Unlock()
	w.proxy.later.Wait()
	last := newChild(w.t, "agent", "IDEM_FOLDER="+w.folder, "IDEM_URL="+w.proxy.url, "IDEM_FINISH=1")
	last.await(w.t, "finished")
	require.NoError(w.t, last.wait())
	require.NoError(w.t, w.server.stdin.Close())
	require.NoError(w.t, w.server.wait(), w.server.errors.String())
	require.Empty(w.t, w.server.errors.String())
}

// check compares the charges with what the client says of its operations.
func (w *rounds) check() (operations int) {
	t := w.t
	db := openSQL(t, "sqlite3", filepath.Join(w.folder, "shop.db"))
	rows, err := db.Query("SELECT key, count(*) FROM charges GROUP BY key")
	require.NoError(t, err)
	charges := map[string]int{}
	for rows.Next() {
		var key string
		var n int
		require.NoError(t, rows.Scan(&key, &n))
		require.Equal(t, 1, n, "effects of the key %s", key)
		charges[key] = n
	}
	require.NoError(t, rows.Err())
	c, err := idem.Open(filepath.Join(w.folder, "agent.db"))
	require.NoError(t, err)
	defer c.Close()
	ids := map[string]bool{}
	for in, err := range c.Intents(testCtx(t), idem.Filter{}) {
		require.NoError(t, err)
		require.Equal(t, idem.Succeeded, in.State(), "%v", in.History())
		require.Equal(t, fmt.Sprintf(`{"charged":%q}`, in.Key()), string(in.Outcome()))
		require.Equal(t, 1, charges[in.Key()], "an operation without its effect")
		delete(charges, in.Key())
		require.False(t, ids[in.Operation().ID], "two intents of one operation")
		ids[in.Operation().ID] = true
		operations++
	}
	require.Empty(t, charges, "effects of keys that the client does not know")
	return operations
}
