//go:build cgo

package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	sqlite3 "github.com/mattn/go-sqlite3"
)

// value is what SQLite takes and gives: int64, string, []byte or nil.
type value = driver.Value

// conn is one SQLite connection with its prepared statements. It is used by one
// goroutine at a time.
type conn struct {
	raw        *sqlite3.SQLiteConn
	statements map[string]*statement
	changed    bool    // something was written in this transaction
	last       rowMark // the last row of an intent that was
	newest     int64   // the largest id of an intent; -1: not read in this transaction
	placing    placing
}

// statement is a prepared one, with what each use of it needs anew.
type statement struct {
	*sqlite3.SQLiteStmt
	args []driver.NamedValue
	row  []value
}

func openConn(dsn string) (*conn, error) {
	raw, err := (&sqlite3.SQLiteDriver{}).Open(dsn)
	if err != nil {
		return nil, err
	}
	c, ok := raw.(*sqlite3.SQLiteConn)
	if !ok {
		return nil, fmt.Errorf("go-sqlite3 opened a %T", raw)
	}
	return &conn{raw: c, statements: map[string]*statement{}}, nil
}

func (c *conn) prepare(query string) (*statement, error) {
	if s := c.statements[query]; s != nil {
		return s, nil
	}
	prepared, err := c.raw.Prepare(query)
	if err != nil {
		return nil, err
	}
	s, ok := prepared.(*sqlite3.SQLiteStmt)
	if !ok {
		return nil, fmt.Errorf("go-sqlite3 prepared a %T", prepared)
	}
	c.statements[query] = &statement{SQLiteStmt: s}
	return c.statements[query], nil
}

// exec runs a statement for what it does.
func (c *conn) exec(query string, args ...value) error { return c.query(query, nil, args...) }

// change runs a statement that writes.
func (c *conn) change(query string, args ...value) error {
	c.changed = true
	return c.query(query, nil, args...)
}

// query calls scan for each row; the row is valid only until scan returns. A
// statement that writes has done so when it returns. Going through the driver's
// query, not its exec, binds all values and takes the first step in one call to C.
func (c *conn) query(query string, scan func(row []value) error, args ...value) error {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	s.args = s.args[:0]
	for i, arg := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	defer clear(s.args)
	return s.run(s.args, scan)
}

// add runs a statement that writes one row, with the values as they are bound. It
// is false where the row has NULL in place of something needed, or a key that is
// there already: how a statement says that something stands in its way. That is
// half the price of RETURNING, for which SQLite makes a table of its own each time.
func (c *conn) add(query string, row []driver.NamedValue) (bool, error) {
	s, err := c.prepare(query)
	if err != nil {
		return false, err
	}
	if err = s.run(row, nil); err == nil {
		c.changed = true
		return true, nil
	}
	if broken, ok := err.(sqlite3.Error); ok &&
		(broken.ExtendedCode == sqlite3.ErrConstraintNotNull || broken.ExtendedCode == sqlite3.ErrConstraintPrimaryKey) {
		err = nil
	}
	return false, err
}

func (s *statement) run(args []driver.NamedValue, scan func(row []value) error) error {
	rows, err := s.QueryContext(context.Background(), args)
	if err != nil {
		return err
	}
	if s.row == nil {
		s.row = make([]value, len(rows.Columns()))
	}
	for {
		if err = rows.Next(s.row); err != nil {
			break
		}
		if scan != nil {
			if err = scan(s.row); err != nil {
				break
			}
		}
	}
	if closed := rows.Close(); closed != nil && isEOF(err) {
		err = closed
	}
	clear(s.row)
	if isEOF(err) {
		return nil
	}
	return err
}

// atOnce runs queries on one moment of the journal: its locks are taken once for
// all of them, and not for each.
func (c *conn) atOnce(read func() error) error {
	if err := c.exec("BEGIN"); err != nil {
		return err
	}
	err := read()
	return errors.Join(err, c.exec("ROLLBACK"))
}

// integer is the one integer that a query gives, or otherwise.
func (c *conn) integer(query string, otherwise int64, args ...value) (int64, error) {
	n := otherwise
	err := c.query(query, func(row []value) error {
		if v, ok := row[0].(int64); ok {
			n = v
		}
		return nil
	}, args...)
	return n, err
}

// blob is the one blob that a query gives, or nil.
func (c *conn) blob(query string, args ...value) ([]byte, error) {
	var b []byte
	err := c.query(query, func(row []value) error {
		b = bytesOf(row[0])
		return nil
	}, args...)
	return b, err
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.statements {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

func bytesOf(v value) []byte {
	switch v := v.(type) {
	case []byte:
		return v
	case string:
		return []byte(v)
	}
	return nil
}

func intOf(v value) int64 {
	n, _ := v.(int64)
	return n
}
