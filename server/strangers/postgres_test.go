package strangers_test

import (
	"bufio"
	"bytes"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/server"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
)

// postgres starts a PostgreSQL server of the test's own, on a socket in a folder of
// its own, and returns how to reach it; "" where there is none on this machine.
func postgres(t *testing.T) string {
	t.Helper()
	programs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	initdb, err := exec.LookPath("initdb")
	if err != nil && len(programs) > 0 {
		initdb = filepath.Join(programs[len(programs)-1], "initdb")
	} else if err != nil {
		t.Logf("THERE IS NO PostgreSQL ON THIS MACHINE: SameTransaction was not tested with it (%v)", err)
		return ""
	}
	if whole, err := filepath.EvalSymlinks(initdb); err == nil {
		initdb = whole
	}
	folder, err := os.MkdirTemp("", "idem-pg") // a short name: a socket has to fit
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	as := &syscall.SysProcAttr{}
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		nobody, err := user.Lookup("postgres")
		if err != nil {
			t.Logf("THERE IS NO USER postgres AND THIS IS root: SameTransaction was not tested with PostgreSQL (%v)", err)
			return ""
		}
		uid, err := strconv.Atoi(nobody.Uid)
		require.NoError(t, err)
		gid, err := strconv.Atoi(nobody.Gid)
		require.NoError(t, err)
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		require.NoError(t, os.Chown(folder, uid, gid))
	}
	data := filepath.Join(folder, "data")
	program := func(args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(filepath.Dir(initdb), args[0]), args[1:]...)
		cmd.SysProcAttr, cmd.Dir = as, folder
		return cmd
	}
	out, err := program("initdb", "-D", data, "-U", "idem", "-A", "trust", "--no-sync").CombinedOutput()
	require.NoError(t, err, string(out))
	pg := program("postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "max_connections=100", "-c", "lc_messages=C")
	log, err := pg.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, pg.Start())
	t.Cleanup(func() {
		pg.Process.Signal(syscall.SIGINT)
		pg.Wait()
	})
	requireReady(t, log)
	return fmt.Sprintf("host=%s user=idem dbname=postgres", folder)
}

// requireReady waits until PostgreSQL writes to its log that it accepts connections,
// and reads the rest of the log in the background, so that PostgreSQL is not blocked.
func requireReady(t *testing.T, log io.Reader) {
	t.Helper()
	var before bytes.Buffer
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if strings.Contains(lines.Text(), "ready to accept connections") {
			go io.Copy(io.Discard, log)
			return
		}
		fmt.Fprintln(&before, lines.Text())
	}
	require.FailNow(t, "PostgreSQL does not start", before.String())
}

func open(t *testing.T, where string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", where)
	require.NoError(t, err)
	db.SetMaxOpenConns(20)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Ping())
	return db
}

// charge writes a row in the middleware's transaction, and fails as it is asked to.
func charge(w http.ResponseWriter, r *http.Request) {
	id, _ := server.FromContext(r.Context())
	tx := server.Tx(r.Context())
	if _, err := tx.ExecContext(r.Context(), "INSERT INTO charges (key) VALUES ($1)", id.Key); err != nil {
		panic(err)
	}
	if mood := r.Header.Get("X-Mood"); mood != "" {
		_, err := tx.ExecContext(r.Context(), "INSERT INTO charges (key) VALUES (NULL)") // PostgreSQL ends the transaction
		switch {
		case mood == "panic":
			panic(http.ErrAbortHandler)
		case mood == "forget":
			server.Forget(r.Context())
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		case mood == "refuse" && err != nil:
			http.Error(w, "there is no such account", http.StatusUnprocessableEntity)
			return
		}
	}
	fmt.Fprintf(w, "charged %s", id.Key)
}

type reply struct {
	status int
	idem   string
	body   string
}

func post(t *testing.T, url, key, mood string) (reply, error) {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader("{}"))
	require.NoError(t, err)
	req.GetBody = nil
	req.Header.Set(server.KeyHeader, key)
	req.Header.Set("X-Mood", mood)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header.Get(server.StatusHeader), string(body)}, err
}

// Effect, claim and reply are one commit on PostgreSQL too: two stores on one
// database execute a key once; what was rolled back, by a panic, by Forget or by a
// statement that failed, has left no effect.
func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	where := postgres(t)
	if where == "" {
		return
	}
	db := open(t, where)
	_, err := db.Exec("CREATE TABLE charges (id SERIAL PRIMARY KEY, key TEXT NOT NULL)")
	require.NoError(t, err)
	stores, urls := make([]*server.Store, 2), make([]string, 2)
	var making sync.WaitGroup
	errs := make([]error, 2)
	for i := range stores { // at once: both make the tables
		making.Go(func() { stores[i], errs[i] = server.SameTransaction(db, server.PostgreSQL) })
	}
	making.Wait()
	for i, s := range stores {
		require.NoError(t, errs[i])
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		once, err := server.New(s, server.SingleTenant(), server.Wait(time.Minute), server.Logger(slog.New(slog.DiscardHandler)))
		require.NoError(t, err)
		web := httptest.NewUnstartedServer(once(http.HandlerFunc(charge)))
		web.Start()
		t.Cleanup(web.Close)
		urls[i] = web.URL
	}
	effects := func(key string) (n int) {
		require.NoError(t, db.QueryRow("SELECT count(*) FROM charges WHERE key = $1", key).Scan(&n))
		return n
	}

	var all sync.WaitGroup
	replies := make([]reply, 60)
	failed := make([]error, 60)
	for i := range replies {
		all.Go(func() { replies[i], failed[i] = post(t, urls[i%2], fmt.Sprint("k-", i%5), "") })
	}
	all.Wait()
	for i, r := range replies {
		require.NoError(t, failed[i])
		require.Equal(t, fmt.Sprint("charged k-", i%5), r.body)
		require.Equal(t, 1, effects(fmt.Sprint("k-", i%5)))
	}

	_, err = post(t, urls[0], "panics", "panic")
	require.Error(t, err)
	r, err := post(t, urls[0], "forgets", "forget")
	require.NoError(t, err)
	require.Equal(t, reply{503, server.StatusRefused, "later\n"}, r)
	r, err = post(t, urls[0], "ignores", "ignore") // says it charged, in a transaction that cannot be committed
	require.NoError(t, err)
	require.Equal(t, server.StatusUncertain, r.idem)
	for _, key := range []string{"panics", "forgets", "ignores"} {
		require.Zero(t, effects(key))
		r, err = post(t, urls[1], key, "")
		require.NoError(t, err)
		require.Equal(t, reply{200, server.StatusExecuted, "charged " + key}, r)
		require.Equal(t, 1, effects(key))
	}

	// A handler that answers a failed statement with a refusal is taken at its word.
	for _, status := range []string{server.StatusExecuted, server.StatusReplayed} {
		r, err = post(t, urls[0], "refuses", "refuse")
		require.NoError(t, err)
		require.Equal(t, reply{422, status, "there is no such account\n"}, r)
		require.Zero(t, effects("refuses"))
	}
	require.NoError(t, stores[0].Prune(t.Context()))
	require.ErrorContains(t, stores[0].Resolve(t.Context(), server.Identity{Key: "refuses"}, idem.Resolution{State: idem.Failed}), "no such uncertain key")
	for _, err := range stores[0].Uncertain(t.Context()) {
		require.NoError(t, err)
		t.Fatal("nothing is uncertain")
	}
}
