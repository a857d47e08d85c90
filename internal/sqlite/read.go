//go:build cgo

package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/idem-go/idem/internal/codec"
	"github.com/idem-go/idem/journal"
)

const (
	// Most intents have neither a change nor a note, and are spared two queries.
	selectIntent = `SELECT key, kind, scope, name, repeat, cost, previous, fingerprint, rules, begun, owner,
		head, payload, forgotten, checksum, EXISTS (SELECT 1 FROM changes WHERE intent = ?1),
		EXISTS (SELECT 1 FROM notes WHERE intent = ?1) FROM intents WHERE id = ?1`
	selectKindByID  = `SELECT operation, terms FROM kinds WHERE id = ?`
	selectKindAgain = `SELECT id FROM kinds INDEXED BY sqlite_autoindex_kinds_1 WHERE operation = ? AND terms = ?`
	selectChanges   = `SELECT version, kind, owner, standing, at, reason, note, tries, checksum
		FROM changes WHERE intent = ?` // loadChanges puts them in order
	selectOutcomes = `SELECT version, kind, standing, at, reason, note, tries, status, head, body, checksum, state
		FROM outcomes WHERE id BETWEEN ?1 * 4096 AND ?1 * 4096 + 4095 ORDER BY id`
	selectNotes = `SELECT at, reason, text FROM notes WHERE intent = ? ORDER BY id`
)

// load reads a whole record.
func (s *Store) load(c *conn, id int64) (*journal.Record, error) {
	r := &journal.Record{}
	var kind, owner, sum, changed, noted int64
	found := false
	err := c.query(selectIntent, func(row []value) error {
		found = true
		r.Key = string(bytesOf(row[0]))
		kind = intOf(row[1])
		r.Operation = journal.Operation{
			Scope: string(bytesOf(row[2])), ID: string(bytesOf(row[3])), Repeat: int(intOf(row[4])), Cost: intOf(row[5]),
		}
		r.Previous = string(bytesOf(row[6]))
		copy(r.Fingerprint[:], bytesOf(row[7]))
		r.FingerprintVersion, r.CreatedAt, owner = int(intOf(row[8])), codec.UnixTime(intOf(row[9])), intOf(row[10])
		r.Head, r.Payload = bytesOf(row[11]), bytesOf(row[12])
		r.PrunedAt, sum = codec.UnixTime(intOf(row[13])), intOf(row[14])
		changed, noted = intOf(row[15]), intOf(row[16])
		return nil
	}, id)
	if err != nil || !found {
		return nil, err
	}
	if r.PrunedAt.IsZero() && !intentFits(sum, r, kind, owner) {
		return nil, damaged("key "+r.Key, "its beginning does not fit its checksum")
	}
	shared, err := s.kindOf(c, kind)
	if err != nil {
		return nil, err
	}
	r.Operation.Name, r.Terms = shared.operation, shared.terms
	if owner, err = s.loadChanges(c, id, r, owner, changed != 0); err != nil {
		return nil, err
	}
	if r.Owner, err = s.ownership(c, owner); err != nil {
		return nil, err
	}
	if noted == 0 {
		return r, nil
	}
	err = c.query(selectNotes, func(row []value) error {
		r.Audit = append(r.Audit, journal.AuditEntry{Key: r.Key, At: codec.UnixTime(intOf(row[0])), Reason: string(bytesOf(row[1])), Text: string(bytesOf(row[2]))})
		return nil
	}, id)
	return r, err
}

// loadChanges reads what became of an intent, and returns its owner by its newest
// row. changed tells whether there is more than an outcome.
func (s *Store) loadChanges(c *conn, id int64, r *journal.Record, owner int64, changed bool) (int64, error) {
	newest := 0
	add := func(version, kind, holder, at value, st, reason, note, tries []byte) (*journal.Change, error) {
		standing, err := codec.DecodeSummary(st)
		if err != nil {
			return nil, damaged("key "+r.Key, err.Error())
		}
		t, err := codec.DecodeAttempts(tries)
		if err != nil {
			return nil, damaged("key "+r.Key, err.Error())
		}
		r.Changes = append(r.Changes, journal.Change{
			Key: r.Key, Kind: journal.ChangeKind(intOf(kind)), Summary: standing, At: codec.UnixTime(intOf(at)),
			Reason: string(reason), Note: string(note), NewAttempts: t,
		})
		if v := int(intOf(version)); v > newest {
			newest, owner = v, intOf(holder)
		}
		return &r.Changes[len(r.Changes)-1], nil
	}
	var err error
	if changed {
		err = c.query(selectChanges, func(row []value) error {
			st, reason, note, tries := bytesOf(row[3]), bytesOf(row[5]), bytesOf(row[6]), bytesOf(row[7])
			if r.PrunedAt.IsZero() && !sumFits(intOf(row[8]), []int64{intOf(row[0]), intOf(row[1]), intOf(row[2]), intOf(row[4])}, st, reason, note, tries) {
				return damaged("key "+r.Key, "a change does not fit its checksum")
			}
			_, err := add(row[0], row[1], row[2], row[4], st, reason, note, tries)
			return err
		}, id)
	}
	if err != nil {
		return 0, err
	}
	err = c.query(selectOutcomes, func(row []value) error {
		st, reason, note, tries := bytesOf(row[2]), bytesOf(row[4]), bytesOf(row[5]), bytesOf(row[6])
		head, body := bytesOf(row[8]), bytesOf(row[9])
		if r.PrunedAt.IsZero() && !sumFits(intOf(row[10]), []int64{intOf(row[0]), intOf(row[1]), intOf(row[11]), intOf(row[3]), intOf(row[7])},
			st, reason, note, tries, head, body) {
			return damaged("key "+r.Key, "its outcome does not fit its checksum")
		}
		change, err := add(row[0], row[1], int64(0), row[3], st, reason, note, tries)
		if err == nil && row[7] != nil && r.PrunedAt.IsZero() {
			change.Reply, err = codec.DecodeReply(intOf(row[7]), head, body)
		}
		return err
	}, id)
	slices.SortFunc(r.Changes, func(a, b journal.Change) int { return a.Version - b.Version })
	return owner, err
}

func damaged(row, why string) error {
	return fmt.Errorf("the journal's row of %s is damaged (%s): the disk changed it; look at the far side what became of it, and restore the file", row, why)
}

// outOfOrder: SQLite trusts the order of its pages. Where a number in one is damaged,
// whoever goes on from the last row that he was given would never come to an end.
func outOfOrder(id int64) error {
	return damaged(fmt.Sprintf("intent number %d", id), "it comes after one with a higher number")
}

func (s *Store) kindOf(c *conn, id int64) (kindKey, error) {
	s.mu.Lock()
	k, ok := s.names[id]
	s.mu.Unlock()
	if ok {
		return k, nil
	}
	var operation, terms string
	err := c.query(selectKindByID, func(row []value) error {
		operation, terms = string(bytesOf(row[0])), string(bytesOf(row[1]))
		return nil
	}, id)
	if err != nil {
		return k, err
	}
	// It stands in the file twice: in its row and in the index that makes it unique.
	twin, err := c.integer(selectKindAgain, 0, operation, terms)
	if err != nil {
		return k, err
	}
	k.operation = operation
	if err := json.Unmarshal([]byte(terms), &k.terms); err != nil || twin != id {
		return k, damaged(fmt.Sprintf("the terms of %.40q", operation), "they do not stand twice as they should")
	}
	return k, nil
}

// Get implements Journal.
func (s *Store) Get(_ context.Context, key string) (r *journal.Record, err error) {
	err = s.read(func(c *conn) error {
		id, err := s.find(c, key)
		if err != nil || id == 0 {
			return err
		}
		r, err = s.load(c, id)
		return err
	})
	return r, err
}

const (
	selectOpen = `SELECT id FROM (
		SELECT id / 4096 AS id FROM parked WHERE id > ?1 * 4096 + 4095
		UNION SELECT i.id FROM intents i WHERE i.id >= ?2 AND i.id > ?1
			AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.id = i.id * 4096)
		) ORDER BY id LIMIT ?3`
	selectFailed = `SELECT DISTINCT id / 4096 FROM outcomes INDEXED BY outcomes_failed
		WHERE state = 2 AND id > ? * 4096 + 4095 ORDER BY id LIMIT ?`
	selectKinds  = `SELECT id FROM kinds WHERE operation = ?`
	selectByKind = `SELECT intent FROM kindred WHERE kind = ?1 AND intent > ?2
		UNION ALL SELECT id FROM intents WHERE id > ?2 AND id >= ` + sqlFloor + ` AND kind = ?1 ORDER BY 1 LIMIT ?3`
	selectAll   = `SELECT id FROM intents WHERE id > ? ORDER BY id LIMIT ?`
	selectBegun = `SELECT id, begun FROM intents WHERE id >= ? ORDER BY id LIMIT 1`
	selectLast  = `SELECT max(id) FROM intents`
)

// pageBytes bounds the payloads and outcomes of one page.
const pageBytes = 8 << 20

// Page implements Journal. The cursor is the last id that was looked at.
func (s *Store) Page(ctx context.Context, f journal.Filter, after string, limit int) (page []*journal.Record, next string, err error) {
	last := int64(0)
	if after != "" {
		if last, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, "", fmt.Errorf("the cursor %q is not one of this journal's", after)
		}
	}
	err = s.read(func(c *conn) error {
		if after == "" && !f.Since.IsZero() {
			if last, err = s.before(c, f.Since); err != nil {
				return err
			}
		}
		size := 0
		for len(page) < limit && size < pageBytes {
			if err := ctx.Err(); err != nil {
				return err
			}
			ids, err := s.candidates(c, f, last, limit)
			if err != nil {
				return err
			}
			if len(ids) == 0 {
				next = ""
				return nil
			}
			for _, id := range ids {
				if id <= last {
					return outOfOrder(id)
				}
				r, err := s.load(c, id)
				if err != nil {
					return err
				}
				last = id
				if r != nil && f.Match(r) {
					page = append(page, r)
					size += sizeOf(r)
				}
				if len(page) == limit || size >= pageBytes {
					break
				}
			}
			next = strconv.FormatInt(last, 10)
		}
		return nil
	})
	return page, next, err
}

// candidates are the next ids that may be selected, by the narrowest index.
func (s *Store) candidates(c *conn, f journal.Filter, after int64, limit int) ([]int64, error) {
	open, failed := len(f.States) > 0, len(f.States) > 0
	for _, state := range f.States {
		open = open && (state == journal.Pending || state == journal.InDoubt)
		failed = failed && state == journal.Failed
	}
	switch {
	case open:
		return s.openIDs(c, after, limit)
	case failed:
		return ids(c, selectFailed, after, int64(limit))
	case f.Operation != "" && f.Scope != "" && f.ID != "":
		identity := identityHash(journal.Operation{Name: f.Operation, Scope: f.Scope, ID: f.ID})
		all, err := s.look(c, hashes{1, 0, identity})
		next, _ := slices.BinarySearch(all, after+1)
		return all[next:min(next+limit, len(all))], err
	case f.Operation != "":
		return s.byOperation(c, f.Operation, after, limit)
	}
	return ids(c, selectAll, after, int64(limit))
}

// byOperation merges what was begun under each set of terms of an operation, each of
// which is in order.
func (s *Store) byOperation(c *conn, operation string, after int64, limit int) ([]int64, error) {
	kinds, err := ids(c, selectKinds, operation)
	if err != nil {
		return nil, err
	}
	var all []int64
	for _, kind := range kinds {
		some, err := ids(c, selectByKind, kind, after, int64(limit))
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	slices.Sort(all)
	return all[:min(limit, len(all))], nil
}

// openIDs are the next ids of open intents, and perhaps a few that were settled
// since they were parked.
func (s *Store) openIDs(c *conn, after int64, limit int) ([]int64, error) {
	floor, err := s.floor(c)
	if err != nil {
		return nil, err
	}
	return ids(c, selectOpen, after, floor, int64(limit))
}

func ids(c *conn, query string, args ...value) (found []int64, err error) {
	err = c.query(query, func(row []value) error {
		found = append(found, intOf(row[0]))
		return nil
	}, args...)
	return found, err
}

// before is an id before all that were begun at since or later. Journal time goes
// with the ids, but for what several processes wrote at about the same moment.
func (s *Store) before(c *conn, since time.Time) (int64, error) {
	const slack = time.Minute
	high, err := c.integer(selectLast, 0)
	if err != nil {
		return 0, err
	}
	low := int64(0)
	wanted := since.Add(-slack).UnixNano()
	for low < high {
		middle := low + (high-low)/2 + 1
		begun := int64(0)
		if begun, err = c.begunAt(middle); err != nil {
			return 0, err
		}
		if begun != 0 && begun < wanted {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return low, nil
}

func (c *conn) begunAt(id int64) (begun int64, err error) {
	err = c.query(selectBegun, func(row []value) error {
		begun = intOf(row[1])
		return nil
	}, id)
	return begun, err
}
