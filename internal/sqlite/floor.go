//go:build cgo

package sqlite

import (
	"strconv"
)

// The floor is the id below which recovery reads only what is parked: it looks at
// the tail, however many settled intents there are. Below it, too, the intents of each
// kind are in a table of their own, which costs no page for each new one.

const (
	sweepEvery = 256
	sweepLag   = 128 // the newest intents are mostly still under way
	parkOpen   = `INSERT OR IGNORE INTO parked (id) SELECT i.id * 4096 FROM intents i WHERE i.id >= ? AND i.id < ?
		AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.id = i.id * 4096)`
	// The floor as a part of a query: read by a query of its own it may have been raised
	// by the next one, and what is in kindred by then would be found twice.
	sqlFloor   = `coalesce((SELECT CAST(value AS INTEGER) FROM vals WHERE name = 'floor'), 1)`
	addKindred = `INSERT OR IGNORE INTO kindred (kind, intent) SELECT kind, id FROM intents WHERE id >= ? AND id < ?`
	unpark     = `DELETE FROM parked WHERE EXISTS (SELECT 1 FROM outcomes o WHERE o.id = parked.id)`
)

// sweep raises the floor, below which recovery looks only at what is parked. It is
// part of a Begin's transaction now and then, and reads a few hundred ids.
func (s *Store) sweep(c *conn, newest int64) error {
	floor, err := s.floor(c)
	if err != nil {
		return err
	}
	// After a long time without a sweep, catch up in steps.
	upTo := min(newest-sweepLag, floor+8*sweepEvery)
	if upTo <= floor {
		return nil
	}
	if err := c.change(parkOpen, floor, upTo); err != nil {
		return err
	}
	if err := c.change(addKindred, floor, upTo); err != nil {
		return err
	}
	if err := c.change(unpark); err != nil {
		return err
	}
	return c.change(insertValue, valueFloor, []byte(strconv.FormatInt(upTo, 10)))
}

func (s *Store) floor(c *conn) (int64, error) {
	text, err := c.blob(selectValue, valueFloor)
	if err != nil || text == nil {
		return 1, err
	}
	return strconv.ParseInt(string(text), 10, 64)
}
