package server_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"

	"github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"
)

// hooked is SQLite behind a hook that sees each call of database/sql before and
// after it, and may fail it.
type hooked struct {
	path string
	hook func(when, call string) error
}

func (h *hooked) open(t testing.TB) *sql.DB {
	t.Helper()
	db := sql.OpenDB(h)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func (h *hooked) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

func (h *hooked) Connect(context.Context) (driver.Conn, error) {
	c, err := h.Driver().Open(h.path + durable)
	if err != nil {
		return nil, err
	}
	return &hookedConn{sqliteConn: c.(sqliteConn), hook: h.hook}, nil
}

// sqliteConn names the methods of *sqlite3.SQLiteConn that database/sql calls. The
// type itself has none where cgo is off, and these tests compile there too.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
}

type hookedConn struct {
	sqliteConn
	hook func(when, call string) error
}

// around calls what is hooked, between the two calls of the hook.
func around[T any](hook func(when, call string) error, call string, do func() (T, error)) (T, error) {
	var none T
	if err := hook("before", call); err != nil {
		return none, err
	}
	result, err := do()
	if failed := hook("after", call); failed != nil {
		return none, failed
	}
	return result, err
}

func (c *hookedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := around(c.hook, "begin", func() (driver.Tx, error) { return c.sqliteConn.BeginTx(ctx, opts) })
	return &hookedTx{tx, c.hook}, err
}

func (c *hookedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return around(c.hook, "exec", func() (driver.Result, error) { return c.sqliteConn.ExecContext(ctx, query, args) })
}

func (c *hookedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return around(c.hook, "query", func() (driver.Rows, error) { return c.sqliteConn.QueryContext(ctx, query, args) })
}

type hookedTx struct {
	driver.Tx
	hook func(when, call string) error
}

func (tx *hookedTx) Commit() error {
	_, err := around(tx.hook, "commit", func() (any, error) { return nil, tx.Tx.Commit() })
	return err
}

func (tx *hookedTx) Rollback() error {
	_, err := around(tx.hook, "rollback", func() (any, error) { return nil, tx.Tx.Rollback() })
	return err
}
