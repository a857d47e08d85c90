package server

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

//go:embed schema.sql
var schema string

// Dialect is how a database writes what differs between databases.
type Dialect uint8

const (
	SQLite     Dialect = iota // tested with mattn/go-sqlite3
	PostgreSQL                // tested with PostgreSQL 15 and jackc/pgx
)

// Schema is the tables that SameTransaction needs, for a migration of your own.
func Schema(d Dialect) string {
	if d == PostgreSQL {
		return strings.ReplaceAll(schema, "BLOB", "BYTEA")
	}
	return schema
}

// SameTransaction is a store in the handlers' own database: the claim, the
// fingerprint and the reply of a key are committed in the transaction of its
// effect, and nowhere else. The handler finds it with Tx. A process that dies at
// any point leaves all of it or nothing, so no key is ever in between.
//
// The tables are made where they are absent; see Schema. The store does not close
// db. A handler that panics or calls Forget is rolled back. A handler that returns
// after its time limit (Timeout) is rolled back too: the reply says that the key is
// uncertain, and the next request with the key executes it. A COMMIT that fails is
// answered as uncertain, and the next request with the key finds out from the
// database which it was. What a handler does outside the transaction is not
// covered.
//
// Requests with one key wait for each other in the database. On SQLite requests
// with any key do, since it has one writer: set a busy timeout, and use Tx in
// handlers and never the db, which would wait for its own request.
func SameTransaction(db *sql.DB, d Dialect) (*Store, error) {
	if db == nil {
		return nil, errors.New("idem/server: SameTransaction needs a database: it is nil")
	}
	if d > PostgreSQL {
		return nil, fmt.Errorf("idem/server: SameTransaction knows SQLite and PostgreSQL, not dialect %d", d)
	}
	k := &sqlKeeper{db: db, dialect: d}
	if err := k.make(context.Background()); err != nil {
		return nil, fmt.Errorf("idem/server: making the tables of idempotency keys: %w", err)
	}
	return newStore(func(*Store) keeper { return k })
}

// sqlKeeper keeps keys in a database of somebody else's.
type sqlKeeper struct {
	db      *sql.DB
	dialect Dialect
}

const attempts = 5 // at what another process may have done at the same moment

// make makes the tables where they are absent.
func (k *sqlKeeper) make(ctx context.Context) error {
	var err error
	for range attempts {
		if err = k.probe(ctx); err == nil {
			return nil
		}
		if made := k.create(ctx); made != nil {
			err = made // another process may be making them
		}
	}
	if again := k.probe(ctx); again == nil {
		return nil
	}
	return err
}

func (k *sqlKeeper) probe(ctx context.Context) error {
	for _, table := range []string{"idem_keys", "idem_values"} {
		if _, err := k.db.ExecContext(ctx, "SELECT 1 FROM "+table+" WHERE 1 = 0"); err != nil {
			return err
		}
	}
	return nil
}

func (k *sqlKeeper) create(ctx context.Context) error {
	tx, err := k.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	for statement := range strings.SplitSeq(Schema(k.dialect), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// bind writes a statement's places as the dialect has them.
func (k *sqlKeeper) bind(statement string) string {
	if k.dialect != PostgreSQL {
		return statement
	}
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(statement, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(n))
		statement = after
	}
}

// changes runs a statement and tells how many rows it changed.
func (k *sqlKeeper) changes(ctx context.Context, statement string, args ...any) (int64, error) {
	result, err := k.db.ExecContext(ctx, k.bind(statement), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// value implements keeper: whoever replaces a value replaces the one that was read.
func (k *sqlKeeper) value(ctx context.Context, name string, update func([]byte) ([]byte, error)) error {
	var lost error
	for range attempts {
		var old []byte
		err := k.db.QueryRowContext(ctx, k.bind("SELECT value FROM idem_values WHERE name = ?"), name).Scan(&old)
		absent := errors.Is(err, sql.ErrNoRows)
		if err != nil && !absent {
			return err
		}
		next, err := update(old)
		if err != nil || string(next) == string(old) {
			return err
		}
		n := int64(1)
		if absent {
			_, err = k.changes(ctx, "INSERT INTO idem_values (name, value) VALUES (?, ?)", name, next)
		} else {
			n, err = k.changes(ctx, "UPDATE idem_values SET value = ? WHERE name = ? AND value = ?", next, name, old)
		}
		if err == nil && n == 1 {
			return nil
		}
		lost = err
	}
	return fmt.Errorf("the value %q kept changing: %w", name, lost)
}

const pruneBatch = 128 // rows a statement, so that requests get in between

// prune implements keeper.
func (k *sqlKeeper) prune(ctx context.Context, replies, keys time.Time) error {
	const (
		shed = `UPDATE idem_keys SET status = 0, head = ?, body = ? WHERE id IN
			(SELECT id FROM idem_keys WHERE ended > 0 AND ended < ? AND status <> 0 ORDER BY ended LIMIT ?) AND ended > 0 AND ended < ?`
		drop = `DELETE FROM idem_keys WHERE id IN
			(SELECT id FROM idem_keys WHERE ended > 0 AND ended < ? ORDER BY ended LIMIT ?) AND ended > 0 AND ended < ?`
	)
	for _, step := range []func() (int64, error){
		func() (int64, error) { return k.changes(ctx, drop, keys.UnixNano(), pruneBatch, keys.UnixNano()) },
		func() (int64, error) {
			return k.changes(ctx, shed, []byte{}, []byte{}, replies.UnixNano(), pruneBatch, replies.UnixNano())
		},
	} {
		for {
			started := time.Now()
			n, err := step()
			if err != nil {
				return err
			}
			if n < pruneBatch {
				break
			}
			if err := rest(ctx, time.Since(started)); err != nil {
				return err
			}
		}
	}
	return nil
}

// counted implements keeper: there are no durable counters.
func (*sqlKeeper) counted(Identity, string) {}

// close implements keeper: the database is the caller's.
func (*sqlKeeper) close() error { return nil }

// look implements keeper: another process's execution is waited for in the
// database, and never found.
func (*sqlKeeper) look(context.Context, *standing) (*standing, error) { return nil, nil }
