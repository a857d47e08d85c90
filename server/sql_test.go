package server_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/server"
	"github.com/stretchr/testify/require"
)

// charge is a handler whose effect is a row, written in the middleware's
// transaction; then it does what the request asks for.
func charge(w http.ResponseWriter, r *http.Request) {
	id, _ := server.FromContext(r.Context())
	tx := server.Tx(r.Context())
	body, err := io.ReadAll(r.Body)
	if err == nil {
		_, err = tx.ExecContext(r.Context(), "INSERT INTO charges (key, body) VALUES (?, ?)", id.Key, string(body))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	switch r.Header.Get("X-Mood") {
	case "panic":
		panic(http.ErrAbortHandler)
	case "forget":
		server.Forget(r.Context())
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	case "commit":
		err = tx.Commit()
	case "roll back":
		err = tx.Rollback()
	}
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"charged":%q}`, id.Key)
}

// TestEffectAndReplyAreOne tests that effect and reply are one commit: an effect that
// is rolled back leaves nothing in the database, and its key is free.
func TestEffectAndReplyAreOne(t *testing.T) {
	t.Parallel()
	for mood, status := range map[string]string{
		"panic": "", "forget": server.StatusRefused, "roll back": server.StatusUncertain,
	} {
		t.Run(mood, func(t *testing.T) {
			t.Parallel()
			s, db := newSQLStore(t)
			url := serveQuietly(t, wrap(t, s, http.HandlerFunc(charge), quiet()))
			for range 2 {
				g, err := try(newRequest(t, http.MethodPost, url, "k", "{}", "X-Mood", mood))
				if status == "" {
					require.Error(t, err)
				} else {
					require.Equal(t, status, g.idem())
				}
				requireNoTrace(t, db)
			}
			first := post(t, url, "k", "{}")
			requireFirst(t, first)
			requireReplay(t, first, post(t, url, "k", "{}"))
			require.Equal(t, 1, effects(t, db, "k"))
		})
	}
	t.Run("late", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, handlerReturnsLate)
	})
}

// requireNoTrace requires that there is no effect and no key.
func requireNoTrace(t testing.TB, db *sql.DB) {
	t.Helper()
	require.Zero(t, effects(t, db, ""))
	var keys int
	require.NoError(t, db.QueryRow("SELECT count(*) FROM idem_keys").Scan(&keys))
	require.Zero(t, keys)
}

// handlerReturnsLate tests that a handler which returns after its time limit is rolled
// back, and that the answer is "uncertain". "Executed" would be wrong: the transaction
// ends with the handler's context, and a handler that saw its context end may have
// left statements out. Time is simulated: it reaches the limit when the handler waits
// for it, however slow the machine is. The contexts that the handler derives delay the
// moment at which database/sql learns of the limit, so that the handler returns first.
func handlerReturnsLate(t *testing.T) {
	s, db := newSQLStore(t)
	slow := false
	once := wrap(t, s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		charge(w, r)
		if slow {
			for range 20_000 {
				_, cancel := context.WithCancel(r.Context())
				t.Cleanup(cancel)
			}
			<-r.Context().Done()
		}
	}), server.Timeout(time.Second), quiet())
	ask := func() got {
		w := httptest.NewRecorder()
		once.ServeHTTP(w, newRequest(t, http.MethodPost, "/", "k", "{}"))
		return got{w.Code, w.Header(), nil, w.Body.String()}
	}
	slow = true
	for range 2 {
		requireProblem(t, ask(), 409, server.CodeUncertain, server.StatusUncertain)
		requireNoTrace(t, db)
	}
	slow = false
	first := ask()
	requireFirst(t, first)
	requireReplay(t, first, ask())
	require.Equal(t, 1, effects(t, db, "k"))
}

// A handler that commits by itself leaves a claim without a reply, which is
// uncertain until a person settles it; it never runs again by itself, whatever the
// options.
func TestHandlerCommitsByItself(t *testing.T) {
	t.Parallel()
	s, db := newSQLStore(t)
	ctx := testCtx(t)
	url := serve(t, s, charge, server.RunAgain(), quiet())
	for _, key := range []string{"done", "undone", "open"} {
		for range 2 {
			requireProblem(t, post(t, url, key, "{}", "X-Mood", "commit"), 409, server.CodeUncertain, server.StatusUncertain)
		}
		require.Equal(t, server.StatusMismatch, post(t, url, key, "[]").idem())
		require.Equal(t, 1, effects(t, db, key))
	}
	require.NoError(t, s.Resolve(ctx, server.Identity{Key: "done"}, idem.Resolution{State: idem.Succeeded, Result: []byte("{}")}))
	require.NoError(t, s.Resolve(ctx, server.Identity{Key: "undone"}, idem.Resolution{State: idem.Failed}))
	require.NoError(t, s.Resolve(ctx, server.Identity{Key: "open"}, idem.Resolution{State: idem.InDoubt, Note: "asked"}))
	require.Error(t, s.Resolve(ctx, server.Identity{Key: "done"}, idem.Resolution{State: idem.Failed}))
	listed := 0
	for u, err := range s.Uncertain(ctx) {
		require.NoError(t, err)
		require.Equal(t, server.Identity{Route: "http", Key: "open"}, u.Identity)
		require.Equal(t, "committed without a reply: asked", u.Why)
		listed++
	}
	require.Equal(t, 1, listed)
	g := post(t, url, "done", "{}")
	require.Equal(t, "{}", g.body)
	require.True(t, g.replayed())
	requireFirst(t, post(t, url, "undone", "{}"))
}

// An error at COMMIT leaves the key uncertain: the caller is told so, and the next
// request finds out from the database whether it was committed.
func TestCommitFails(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			var failing atomic.Bool
			path := filepath.Join(t.TempDir(), "shop.db")
			plain := openSQL(t, "sqlite3", path)
			db := (&hooked{path, func(w, call string) error {
				if failing.Load() && w == when && call == "commit" {
					return errors.New("the connection is lost")
				}
				return nil
			}}).open(t)
			s, err := server.SameTransaction(db, server.SQLite)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			url := serve(t, s, charge, quiet())
			failing.Store(true)
			requireProblem(t, post(t, url, "k", "{}"), 409, server.CodeUncertain, server.StatusUncertain)
			failing.Store(false)
			db.SetMaxIdleConns(0) // whatever the lost connection still holds goes
			g := post(t, url, "k", "{}")
			require.Equal(t, `{"charged":"k"}`, g.body)
			require.Equal(t, when == "after", g.replayed())
			require.True(t, post(t, url, "k", "{}").replayed())
			require.Equal(t, 1, effects(t, plain, "k"))
		})
	}
}

// A database that cannot be asked or written executes nothing.
func TestDatabaseFails(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"query", "begin", "exec"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			var failing atomic.Bool
			db := (&hooked{filepath.Join(t.TempDir(), "shop.db"), func(when, c string) error {
				if failing.Load() && when == "before" && c == call {
					return errors.New("the database is down")
				}
				return nil
			}}).open(t)
			s, err := server.SameTransaction(db, server.SQLite)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			h := &counter{}
			url := serve(t, s, h.ServeHTTP, quiet())
			failing.Store(true)
			requireProblem(t, post(t, url, "k", "{}"), 503, server.CodeUnavailable, server.StatusRefused)
			failing.Store(false)
			require.Zero(t, h.runs.Load())
			requireFirst(t, post(t, url, "k", "{}"))
		})
	}
}

// Two processes' stores on one database execute a key once: here two stores that
// know nothing of each other.
func TestTwoStoresOnOneDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.db")
	var urls []string
	db := openSQL(t, "sqlite3", path)
	for range 2 {
		s, err := server.SameTransaction(openSQL(t, "sqlite3", path), server.SQLite)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		urls = append(urls, serve(t, s, charge, server.Wait(time.Minute), quiet()))
	}
	replies := sendMany(t, 60, func(i int) *http.Request {
		return newRequest(t, http.MethodPost, urls[i%2], fmt.Sprint("k-", i%6), "{}")
	}, func() {})
	for i, g := range replies {
		require.Equal(t, fmt.Sprintf(`{"charged":"k-%d"}`, i%6), g.body)
	}
	require.Equal(t, 6, effects(t, db, ""))
}

// The tables can be made by a migration of one's own, and are not made again.
func TestSchema(t *testing.T) {
	t.Parallel()
	db := openSQL(t, "sqlite3", filepath.Join(t.TempDir(), "shop.db"))
	_, err := db.Exec(server.Schema(server.SQLite))
	require.NoError(t, err)
	s, err := server.SameTransaction(db, server.SQLite)
	require.NoError(t, err)
	requireFirst(t, post(t, serve(t, s, charge), "k", "{}"))
	require.NoError(t, s.Close())
	require.NoError(t, db.Ping(), "the database is the caller's")
	require.Contains(t, server.Schema(server.PostgreSQL), "BYTEA")
}
