package server_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/server"
	"github.com/stretchr/testify/require"
)

// suicide kills this process at the nth step after it was armed.
type suicide struct {
	at    int64
	steps atomic.Int64
	armed atomic.Bool
}

func newSuicide() (*suicide, error) {
	n, err := strconv.ParseInt(os.Getenv("IDEM_STEP"), 10, 64)
	return &suicide{at: n}, err
}

func (k *suicide) step(when, call string) error {
	if k.armed.Load() && k.steps.Add(1) == k.at {
		fmt.Println("dying " + when + " " + call)
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		if err != nil {
			return err
		}
		select {}
	}
	return nil
}

// sqlChild serves charges in one transaction with their replies, and dies at step
// IDEM_STEP of what it asks of its database.
func sqlChild() error {
	k, err := newSuicide()
	if err != nil {
		return err
	}
	db := sql.OpenDB(&hooked{os.Getenv("IDEM_PATH"), k.step})
	s, err := server.SameTransaction(db, server.SQLite)
	if err != nil {
		return err
	}
	once, err := server.New(s, server.SingleTenant())
	if err != nil {
		return err
	}
	k.armed.Store(true)
	return errors.Join(listen(once(http.HandlerFunc(charge))), s.Close(), db.Close())
}

// A process that is killed at any step of a request whose effect and reply are one
// commit leaves all of it or nothing: the retry executes or replays, and there is
// one effect, for a key that is unseen and for one that has expired.
func TestKilledAtEveryStepOfATransaction(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.db")
	db := openSQL(t, "sqlite3", path)
	s, err := server.SameTransaction(db, server.SQLite)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	past, err := server.SameTransaction(db, server.SQLite)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, past.Close()) })
	long := time.Now().Add(-30 * defaultRetention)
	past.SetClocks(func() (time.Time, time.Duration) { return long, 0 })
	url, urlThen := serve(t, s, charge, quiet()), serve(t, past, charge)
	places := map[string]int{}
	for _, expired := range []bool{false, true} {
		for step := 1; ; step++ {
			key, had := fmt.Sprint(expired, "-", step), 0
			if expired {
				requireFirst(t, post(t, urlThen, key, "{}"))
				had = 1
			}
			c, remote := startChild(t, "sql", "IDEM_PATH="+path, "IDEM_STEP="+strconv.Itoa(step))
			g, err := try(newRequest(t, http.MethodPost, remote, key, "{}"))
			if err == nil { // there is no such step any more
				require.Equal(t, server.StatusExecuted, g.idem(), g.body)
				require.NoError(t, c.stdin.Close())
				require.NoError(t, c.wait())
				require.Greater(t, step, 10)
				break
			}
			place := c.await(t, "dying ")
			require.Error(t, c.wait())
			places[place]++
			committed := place == "after commit"
			require.Equal(t, had+btoi(committed), effects(t, db, key), place)
			after := post(t, url, key, "{}")
			require.Equal(t, 201, after.status, after.body)
			require.Equal(t, committed, after.replayed(), place)
			require.Equal(t, had+1, effects(t, db, key), place)
		}
	}
	for _, place := range []string{"before query", "before begin", "after begin", "before exec", "after exec", "before commit", "after commit"} {
		require.Positive(t, places[place], place)
	}
	t.Logf("killed at %v", places)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// journalChild serves charges, whose effect is a commit of its own, and dies at
// step IDEM_STEP: before and after each write of the journal and of the handler.
func journalChild() error {
	k, err := newSuicide()
	if err != nil {
		return err
	}
	j, err := idem.OpenJournal(os.Getenv("IDEM_PATH"))
	if err != nil {
		return err
	}
	at := func(when string) func(string) error { return func(call string) error { return k.step(when, call) } }
	s, err := server.NewStore(&steps{Journal: j, before: at("before"), after: at("after")})
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite3", os.Getenv("IDEM_SHOP")+durable)
	if err != nil {
		return err
	}
	once, err := server.New(s, server.SingleTenant())
	if err != nil {
		return err
	}
	k.armed.Store(true)
	return errors.Join(listen(once(separateCharge(db, k.step))), s.Close(), db.Close())
}

// separateCharge is a handler whose effect is not in the middleware's transaction.
func separateCharge(db *sql.DB, step func(when, call string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, _ := server.FromContext(r.Context())
		err := step("before", "effect")
		if err == nil {
			_, err = db.ExecContext(r.Context(), "INSERT INTO charges (key, body) VALUES (?, '')", id.Key)
		}
		if err == nil {
			err = step("after", "effect")
		}
		if err != nil {
			panic(err)
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"charged":%q}`, id.Key)
	}
}

// A process that is killed between a key's beginning and its outcome leaves it
// uncertain, whether the effect happened or not, and nothing runs by itself; before
// the beginning it is unseen, after the outcome it is replayed.
func TestKilledAtEveryStepOfTheJournal(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	shop, path := filepath.Join(folder, "shop.db"), filepath.Join(folder, "keys.db")
	db := openSQL(t, "sqlite3", shop)
	s, err := server.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	url := serve(t, s, separateCharge(db, func(string, string) error { return nil }))
	for step, want := range []struct {
		place   string
		effects int
		status  string
	}{
		{"before begin", 0, server.StatusExecuted},
		{"after begin", 0, server.StatusUncertain},
		{"before effect", 0, server.StatusUncertain},
		{"after effect", 1, server.StatusUncertain},
		{"before change", 1, server.StatusUncertain},
		{"after change", 1, server.StatusReplayed},
	} {
		key := fmt.Sprint("k-", step)
		c, remote := startChild(t, "journal", "IDEM_PATH="+path, "IDEM_SHOP="+shop, "IDEM_STEP="+strconv.Itoa(step+1))
		_, err := try(newRequest(t, http.MethodPost, remote, key, "{}"))
		require.Error(t, err)
		require.Equal(t, want.place, c.await(t, "dying "))
		require.Error(t, c.wait())
		require.Equal(t, want.effects, effects(t, db, key), want.place)
		g := post(t, url, key, "{}")
		require.Equal(t, want.status, g.idem(), want.place)
		if want.status == server.StatusUncertain {
			require.Equal(t, want.effects, effects(t, db, key), want.place)
			happened := idem.Resolution{State: idem.Failed}
			if want.effects == 1 {
				happened = idem.Resolution{State: idem.Succeeded, Result: []byte("{}")}
			}
			require.NoError(t, s.Resolve(testCtx(t), server.Identity{Key: key}, happened))
			require.Less(t, post(t, url, key, "{}").status, 300)
		}
		require.Equal(t, 1, effects(t, db, key), want.place)
	}
}

// The same kill, after the effect, with RunAgain: a handler that takes nothing back
// makes a second effect. The option is not for it, and these tests would see it.
func TestRunAgainIsNotForEveryHandler(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	shop, path := filepath.Join(folder, "shop.db"), filepath.Join(folder, "keys.db")
	db := openSQL(t, "sqlite3", shop)
	c, remote := startChild(t, "journal", "IDEM_PATH="+path, "IDEM_SHOP="+shop, "IDEM_STEP=4")
	_, err := try(newRequest(t, http.MethodPost, remote, "k", "{}"))
	require.Error(t, err)
	require.Equal(t, "after effect", c.await(t, "dying "))
	require.Error(t, c.wait())
	s, err := server.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	url := serve(t, s, separateCharge(db, func(string, string) error { return nil }), server.RunAgain())
	requireFirst(t, post(t, url, "k", "{}"))
	require.Equal(t, 2, effects(t, db, "k"))
}
