package server

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// sqlRow is one key as the database has it.
type sqlRow struct {
	generation              int64
	print                   print
	retention, begun, ended int64
	status                  int
	head, body              []byte
}

func (w *sqlRow) free(now time.Time) bool {
	return w.ended > 0 && now.UnixNano() >= w.ended+w.retention
}

func (w *sqlRow) standing() *standing {
	if w.ended == 0 || w.status == 0 {
		return &standing{position: uncertain, print: w.print}
	}
	return &standing{position: executed, print: w.print, reply: &reply{status: w.status, header: decodeHeader(w.head), body: w.body}}
}

func rowID(id Identity) string {
	sum := hashOf(id.Route, id.Scope, id.Key)
	return hex.EncodeToString(sum[:])
}

// read is a key's row as committed; nil: there is none.
func (k *sqlKeeper) read(ctx context.Context, id string) (*sqlRow, error) {
	const query = `SELECT generation, fingerprint, raw, rules, retention, begun, ended, status, head, body FROM idem_keys WHERE id = ?`
	w := &sqlRow{}
	var sum, raw string
	err := k.db.QueryRowContext(ctx, k.bind(query), id).
		Scan(&w.generation, &sum, &raw, &w.print.rules, &w.retention, &w.begun, &w.ended, &w.status, &w.head, &w.body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	hex.Decode(w.print.sum[:], []byte(sum)) // what cannot be read is equal to nothing
	hex.Decode(w.print.raw[:], []byte(raw))
	return w, nil
}

// claimLimit bounds how long a claim may wait for another's transaction.
const claimLimit = 10 * time.Second

var errLost = errors.New("another request was faster")

// begin implements keeper.
func (k *sqlKeeper) begin(ctx, exec context.Context, c *call, t claimTerms) (run, *standing, error) {
	ctx, cancel := context.WithTimeout(ctx, claimLimit)
	defer cancel()
	err := errLost
	for range attempts {
		row, readErr := k.read(ctx, rowID(c.id))
		if readErr != nil {
			return nil, nil, readErr
		}
		if row != nil && !row.free(t.now) {
			// t.again has no say: what is uncertain here was committed by its handler.
			return nil, row.standing(), nil
		}
		if !t.admitted {
			return nil, nil, errTooManyKeys
		}
		var begun run
		if begun, err = k.claim(ctx, exec, c, row, t.now); err == nil {
			return begun, nil, nil
		}
		if !errors.Is(err, errLost) {
			// The insert may have failed because the key is there now.
			if now, readErr := k.read(ctx, rowID(c.id)); readErr != nil || now == nil || row != nil {
				return nil, nil, err
			}
		}
	}
	return nil, nil, err
}

const (
	insertKey = `INSERT INTO idem_keys (id, route, scope, client_key, generation, request, fingerprint, raw, rules,
		retention, begun, ended, status, head, body, note) VALUES (?,?,?,?,1,?,?,?,?,?,?,0,0,?,?,'')`
	claimAnew = `UPDATE idem_keys SET generation = generation + 1, request = ?, fingerprint = ?, raw = ?, rules = ?,
		retention = ?, begun = ?, ended = 0, status = 0, head = ?, body = ?, note = '' WHERE id = ? AND generation = ?`
)

// claim begins the transaction that the handler will work in, with the claim as
// its first write: whoever else claims the key waits for its end.
func (k *sqlKeeper) claim(ctx, exec context.Context, c *call, old *sqlRow, now time.Time) (run, error) {
	limit := exec
	exec, cancel := context.WithCancel(exec)
	stop := context.AfterFunc(ctx, cancel)
	tx, err := k.db.BeginTx(exec, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	n := &sqlRun{keeper: k, tx: tx, limit: limit, cancel: cancel, id: rowID(c.id), generation: 1, print: c.print}
	sum, raw := hex.EncodeToString(c.print.sum[:]), hex.EncodeToString(c.print.raw[:])
	changed := int64(1)
	if old == nil {
		_, err = n.exec(exec, insertKey, n.id, []byte(c.id.Route), []byte(c.id.Scope), c.id.Key, c.request, sum, raw,
			c.print.rules, int64(c.retention), now.UnixNano(), []byte{}, []byte{})
	} else {
		n.generation = old.generation + 1
		changed, err = n.exec(exec, claimAnew, c.request, sum, raw, c.print.rules, int64(c.retention), now.UnixNano(),
			[]byte{}, []byte{}, n.id, old.generation)
	}
	if err == nil && changed == 0 {
		err = errLost
	}
	if err == nil && k.dialect == PostgreSQL {
		_, err = n.exec(exec, "SAVEPOINT "+savepoint)
	}
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		rollBack := tx.Rollback()
		cancel()
		if rollBack != nil && !errors.Is(rollBack, sql.ErrTxDone) {
			err = errors.Join(err, rollBack)
		}
		return nil, err
	}
	return n, nil
}

// savepoint is where a transaction stands before the handler: PostgreSQL ends one
// in which a statement failed, though the handler may have an answer to that.
const savepoint = "idem_handler"

// sqlRun is one transaction.
type sqlRun struct {
	keeper     *sqlKeeper
	tx         *sql.Tx
	limit      context.Context // the handler's; its end is the end of the transaction
	cancel     context.CancelFunc
	id         string
	generation int64
	print      print
}

func (n *sqlRun) exec(ctx context.Context, statement string, args ...any) (int64, error) {
	result, err := n.tx.ExecContext(ctx, n.keeper.bind(statement), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// under implements run.
func (n *sqlRun) under(u *underWay) { u.tx = n.tx }

const keepReply = `UPDATE idem_keys SET ended = ?, status = ?, head = ?, body = ? WHERE id = ? AND generation = ?`

// settle implements run: settle writes the reply in the handler's transaction and
// commits the transaction. A handler that returns after its time limit is rolled back:
// database/sql ends the transaction at the limit, but a moment after the handler's
// context, and a handler that sees its context end may have left statements out.
func (n *sqlRun) settle(ctx context.Context, r *reply, now time.Time) error {
	defer n.cancel()
	if err := n.limit.Err(); err != nil {
		return errors.Join(fmt.Errorf("the handler returned after its time limit (Timeout), which ends its transaction: %w", err), n.rollBack())
	}
	body := r.body
	if body == nil {
		body = []byte{}
	}
	keep := func() error {
		changed, err := n.exec(ctx, keepReply, now.UnixNano(), r.status, encodeHeader(r.header), body, n.id, n.generation)
		if err == nil && changed != 1 {
			err = fmt.Errorf("the row of the key is not in its transaction any more")
		}
		return err
	}
	err := keep()
	if err != nil && n.keeper.dialect == PostgreSQL && r.status >= http.StatusBadRequest {
		// A statement of the handler's failed, and with it all of them; the handler
		// answered that it did not go. Its answer is kept, its effect is not.
		if _, back := n.exec(ctx, "ROLLBACK TO SAVEPOINT "+savepoint); back == nil {
			err = keep()
		}
	}
	if err != nil {
		return errors.Join(err, n.rollBack())
	}
	return n.tx.Commit()
}

func (n *sqlRun) rollBack() error {
	if err := n.tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}

// forget implements run.
func (n *sqlRun) forget(ctx context.Context, _ time.Time) error {
	defer n.cancel()
	err := n.tx.Rollback()
	if !errors.Is(err, sql.ErrTxDone) {
		return nil // a connection that broke is rolled back by the database
	}
	// The time was up and it is rolled back, or the handler ended it by itself.
	row, err := n.keeper.read(ctx, n.id)
	if err != nil {
		return err
	}
	if row != nil && row.generation == n.generation {
		return errors.New("the handler committed its transaction by itself: leave that to the middleware")
	}
	return nil
}

// doubt implements run: what is rolled back did not happen.
func (n *sqlRun) doubt(ctx context.Context, _ string, now time.Time) *standing {
	if n.forget(ctx, now) != nil {
		return &standing{position: uncertain, print: n.print}
	}
	return nil
}

// encodeHeader writes a line for each header, sorted by name.
func encodeHeader(h http.Header) []byte {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	b := []byte{}
	for _, name := range names {
		for _, v := range h[name] {
			b = append(append(append(append(b, name...), ": "...), v...), '\n')
		}
	}
	return b
}

func decodeHeader(text []byte) http.Header {
	h := http.Header{}
	for line := range strings.Lines(string(text)) {
		if name, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); ok {
			h[name] = append(h[name], v)
		}
	}
	return h
}
