package server_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/idem-go/idem/server"
	_ "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"
)

// forEachStore runs a test on a store on the journal, and on one in a database of
// the handlers'.
func forEachStore(t *testing.T, test func(t *testing.T, s *server.Store)) {
	t.Run("journal", func(t *testing.T) {
		t.Parallel()
		test(t, newStore(t))
	})
	t.Run("same transaction", func(t *testing.T) {
		t.Parallel()
		s, _ := newSQLStore(t)
		test(t, s)
	})
}

// newSQLStore is a store in a SQLite database with a table of effects.
func newSQLStore(t testing.TB) (*server.Store, *sql.DB) {
	t.Helper()
	db := openSQL(t, "sqlite3", filepath.Join(t.TempDir(), "shop.db"))
	s, err := server.SameTransaction(db, server.SQLite)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, db
}

const durable = "?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=20000"

func openSQL(t testing.TB, driver, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, path+durable)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	_, err = db.Exec("CREATE TABLE IF NOT EXISTS charges (id INTEGER PRIMARY KEY, key TEXT NOT NULL, body TEXT NOT NULL)")
	require.NoError(t, err)
	return db
}

// effects counts the charges of a key; the empty key: of all.
func effects(t testing.TB, db *sql.DB, key string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRow("SELECT count(*) FROM charges WHERE key = ?1 OR ?1 = ''", key).Scan(&n))
	return n
}
