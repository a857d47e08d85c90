//go:build cgo

package sqlite

import (
	"context"
	"strconv"
	"time"

	"github.com/idem-go/idem/journal"
)

const (
	pruneStep = 128 // intents a transaction: a Begin waits for one step at most

	// Every intent up to here was shortened already, or is in the table late.
	valueShortened = "shortened up to"

	shedColumns = `SELECT i.id, i.begun,
			(SELECT max(o.at) FROM outcomes o WHERE o.id BETWEEN i.id * 4096 AND i.id * 4096 + 4095),
			(SELECT max(o.version) FROM outcomes o WHERE o.id BETWEEN i.id * 4096 AND i.id * 4096 + 4095),
			(SELECT max(c.version) FROM changes c WHERE c.intent = i.id), i.forgotten FROM intents i `
	selectToShed   = shedColumns + `WHERE i.id > ? ORDER BY i.id LIMIT ?`
	selectLate     = shedColumns + `JOIN late l ON l.id = i.id WHERE l.id > ? ORDER BY l.id LIMIT ?`
	insertLate     = `INSERT OR IGNORE INTO late (id) VALUES (?)`
	deleteLate     = `DELETE FROM late WHERE id = ?`
	forgetIntent   = `UPDATE intents SET head = NULL, payload = NULL, forgotten = ? WHERE id = ?`
	forgetChanges  = `UPDATE changes SET note = NULL, tries = NULL WHERE intent = ?`
	forgetOutcomes = `UPDATE outcomes SET status = NULL, head = NULL, body = NULL, note = NULL, tries = NULL
		WHERE id BETWEEN ?1 * 4096 AND ?1 * 4096 + 4095`
	dropIntent   = `DELETE FROM intents WHERE id = ?`
	dropOutcomes = `DELETE FROM outcomes WHERE id BETWEEN ?1 * 4096 AND ?1 * 4096 + 4095`
	dropChanges  = `DELETE FROM changes WHERE intent = ?`
	dropKindred  = `DELETE FROM kindred WHERE intent = ?1 AND kind = (SELECT kind FROM intents WHERE id = ?1)`
	dropNotes    = `DELETE FROM notes WHERE intent = ?`
	dropGuarded  = `DELETE FROM guarded WHERE intent = ?`
	dropAliases  = `DELETE FROM aliases WHERE intent = ?`
	selectName   = `SELECT (SELECT operation FROM kinds WHERE id = kind) FROM intents WHERE id = ?`
)

// shedding is one intent that pruning looks at.
type shedding struct {
	id, begun, settled int64 // settled 0: it is open
	forgotten          bool
}

// Prune implements Journal. Outcomes go first: what is new since the last time is
// looked at once, and what is still open then is remembered. Identities go from the
// oldest on. The newest row stays, so that no id is ever given twice. The space is
// used again; the file does not shrink.
func (s *Store) Prune(ctx context.Context, outcomes, identities time.Time) (int, error) {
	defer s.replays.forget()
	total := 0
	for _, step := range []func(c *conn, after int64) (int, int64, error){
		func(c *conn, after int64) (int, int64, error) { return s.shortenLate(c, after, outcomes.UnixNano()) },
		func(c *conn, _ int64) (int, int64, error) { return s.shortenNew(c, outcomes.UnixNano()) },
		func(c *conn, after int64) (int, int64, error) { return s.dropOld(c, after, identities.UnixNano()) },
	} {
		for after, more := int64(0), true; more; {
			var n int
			var last int64
			err := s.q.commit(ctx, func(c *conn) (err error) {
				n, last, err = step(c, after)
				return err
			})
			if err != nil {
				return total, err
			}
			total += n
			if last != 0 && last <= after {
				return total, outOfOrder(last)
			}
			after, more = last, last != 0
		}
	}
	return total, nil
}

// shortenLate looks again at what was open when the others were shortened. Each
// step returns how many it changed and where to go on; 0: it is done.
func (s *Store) shortenLate(c *conn, after, before int64) (n int, last int64, err error) {
	batch, err := toShed(c, selectLate, after)
	for _, x := range batch {
		last = x.id
		if err != nil || x.settled == 0 || x.settled >= before {
			continue
		}
		n++
		if err = shorten(c, x); err == nil {
			err = c.change(deleteLate, x.id)
		}
	}
	return n, last, err
}

// shortenNew goes on from where the last one stopped.
func (s *Store) shortenNew(c *conn, before int64) (n int, last int64, err error) {
	text, err := c.blob(selectValue, valueShortened)
	if err != nil {
		return 0, 0, err
	}
	done := int64(0)
	if text != nil {
		if done, err = strconv.ParseInt(string(text), 10, 64); err != nil {
			return 0, 0, err
		}
	}
	batch, err := toShed(c, selectToShed, done)
	for _, x := range batch {
		if err != nil || x.begun >= before { // what follows was begun, and so settled, later
			break
		}
		last = x.id
		switch {
		case x.forgotten:
		case x.settled == 0 || x.settled >= before:
			err = c.change(insertLate, x.id)
		default:
			n++
			err = shorten(c, x)
		}
	}
	if err == nil && last != 0 {
		err = c.change(insertValue, valueShortened, []byte(strconv.FormatInt(last, 10)))
	}
	return n, last, err
}

// dropOld drops identities, from the oldest on. Open ones are passed over.
func (s *Store) dropOld(c *conn, after, before int64) (n int, last int64, err error) {
	// Before anything is dropped: what is read of the newest intents is remembered, also
	// where this transaction is undone and they are there again.
	if err := s.enter(c); err != nil {
		return 0, 0, err
	}
	newest := c.newest
	batch, err := toShed(c, selectToShed, after)
	for _, x := range batch {
		if err != nil || x.begun >= before {
			return n, 0, err
		}
		last = x.id
		if x.settled != 0 && x.settled < before && x.id != newest {
			n++
			err = s.drop(c, x.id)
		}
	}
	return n, last, err
}

func toShed(c *conn, query string, after int64) (batch []shedding, err error) {
	err = c.query(query, func(row []value) error {
		x := shedding{id: intOf(row[0]), begun: intOf(row[1]), forgotten: row[5] != nil}
		if row[3] != nil && intOf(row[3]) > intOf(row[4]) { // the newest row is an outcome
			x.settled = intOf(row[2])
		}
		batch = append(batch, x)
		return nil
	}, after, int64(pruneStep))
	return batch, err
}

// shorten drops payload, outcome and what was noted, and keeps when it was settled.
func shorten(c *conn, x shedding) error {
	if err := c.change(forgetIntent, x.settled, x.id); err != nil {
		return err
	}
	for _, statement := range []string{forgetOutcomes, forgetChanges, dropNotes} {
		if err := c.change(statement, x.id); err != nil {
			return err
		}
	}
	return nil
}

// drop takes everything of a settled intent away, and counts it.
func (s *Store) drop(c *conn, id int64) error {
	name, err := c.blob(selectName, id)
	if err != nil {
		return err
	}
	c.placing.dropped = append(c.placing.dropped, id)
	for _, statement := range []string{
		dropPlaces, dropKindred, dropIntent, dropOutcomes, dropChanges, dropNotes, dropGuarded, dropAliases, deleteLate,
	} {
		if err := c.change(statement, id); err != nil {
			return err
		}
	}
	return c.change(addCount, string(name), journal.ReasonPruned, int64(1), int64(0))
}
