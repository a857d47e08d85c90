//go:build cgo

package sqlite

import (
	"crypto/sha256"
	"encoding/binary"
	"math"

	"github.com/idem-go/idem/internal/fingerprint"
	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/journal"
)

// An intent counts while it is not Failed: its newest row is no outcome, or one
// that is not a failure.
const (
	insertGuarded = `INSERT INTO guarded (intent, same, budget, begun) VALUES (?, ?, ?, ?)`
	selectSame    = `SELECT intent FROM guarded WHERE same = ? AND begun >= ? ORDER BY begun`
	selectBudget  = `SELECT intent FROM guarded WHERE budget = ? AND begun >= ?`
	selectCounted = `SELECT cost, fingerprint, scope, (SELECT operation FROM kinds WHERE id = kind), repeat FROM intents WHERE id = ?1
		AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.id BETWEEN ?1 * 4096 AND ?1 * 4096 + 4095 AND o.state = 2
			AND o.version > coalesce((SELECT max(version) FROM changes WHERE intent BETWEEN ?1 AND ?1), 0)
			AND NOT EXISTS (SELECT 1 FROM outcomes p WHERE p.id BETWEEN o.id + 1 AND ?1 * 4096 + 4095))`
	insertAlias = `INSERT INTO aliases (identity, scope, name, repeat, intent, after) VALUES (?, ?, ?, ?, ?, ?)`
	// A claim that makes an intent count anew, which may be in the table already.
	replaceGuarded = `INSERT OR REPLACE INTO guarded (intent, same, budget, begun) VALUES (?, ?, ?, ?)`
)

// claimConflict returns what a claim conflicts with, which Begin would find too: the
// identity has a newer intent; and where the claim makes the intent count anew, a
// duplicate or a budget that is used up. Where there is none, the intent counts from
// now on.
func (s *Store) claimConflict(c *conn, id int64, failed bool, owner journal.Ownership, change *journal.Change) (journal.Conflict, int64, error) {
	r, err := s.load(c, id)
	if err != nil {
		return journal.NoConflict, 0, err
	}
	if r.Operation.ID != "" {
		newest, _, _, err := s.newest(c, r.Operation)
		if newest != id || err != nil {
			return journal.ConflictIdentity, newest, err
		}
	}
	unsent := owner == journal.Unowned && r.Summary().State == journal.Pending && !lifecycle.MayHaveBeenSent(r.Summary())
	if !change.Checks.Enabled() || !failed && !unsent {
		return journal.NoConflict, 0, nil
	}
	conflict, other, err := s.guard(c, r, change.Checks, id)
	if conflict == journal.NoConflict && err == nil {
		err = c.change(replaceGuarded, id, sameHash(r), budgetHash(r.Operation), change.At.UnixNano())
	}
	return conflict, other, err
}

// guard checks the duplicate window, then the budget. self is the intent that is
// claimed, which does not count against itself and is the newest of its identity; 0: r
// is being begun.
func (s *Store) guard(c *conn, r *journal.Record, g journal.Checks, self int64) (journal.Conflict, int64, error) {
	if !g.DuplicatesSince.IsZero() {
		candidates, err := ids(c, selectSame, sameHash(r), g.DuplicatesSince.UnixNano())
		if err != nil {
			return journal.NoConflict, 0, err
		}
		for _, id := range candidates {
			if id == self {
				continue
			}
			counted, err := c.counted(id)
			if err != nil {
				return journal.NoConflict, 0, err
			}
			if counted == nil || counted.fingerprint != r.Fingerprint || !counted.of(r.Operation) || counted.repeat != 0 {
				continue
			}
			if g.Alias && r.Operation.ID != "" {
				err = c.change(insertAlias, identityHash(r.Operation), r.Operation.Scope, r.Operation.ID, int64(r.Operation.Repeat), id, self)
			}
			return journal.ConflictDuplicate, id, err
		}
	}
	over, err := s.overLimit(c, r, g, self)
	if over {
		return journal.ConflictLimit, 0, err
	}
	return journal.NoConflict, 0, err
}

// overLimit tells whether the budget does not hold one more.
func (s *Store) overLimit(c *conn, r *journal.Record, g journal.Checks, self int64) (bool, error) {
	if g.Limit == (journal.Limit{}) {
		return false, nil
	}
	intents, cost := 1, r.Operation.Cost
	candidates, err := ids(c, selectBudget, budgetHash(r.Operation), g.LimitSince.UnixNano())
	if err != nil {
		return false, err
	}
	for _, id := range candidates {
		if id == self {
			continue
		}
		counted, err := c.counted(id)
		if err != nil {
			return false, err
		}
		if counted != nil && counted.of(r.Operation) {
			intents++
			if cost += counted.cost; cost < 0 {
				cost = math.MaxInt64
			}
		}
	}
	return (g.Limit.Intents > 0 && intents > g.Limit.Intents) || (g.Limit.Cost > 0 && cost > g.Limit.Cost), nil
}

// overLimitAgain is overLimit for an intent that failed in passing and would be
// tried again: it did not count, and from then on it would.
func (s *Store) overLimitAgain(c *conn, id int64, r *journal.Record, g journal.Checks) (bool, error) {
	if g.Limit == (journal.Limit{}) {
		return false, nil
	}
	counted, err := c.counted(id)
	if counted != nil || err != nil {
		return false, err
	}
	failed, err := s.load(c, id)
	if err != nil || failed == nil {
		return false, err
	}
	if st := failed.Summary(); st.Failure != journal.FailedNotSent && st.Failure != journal.FailedTransient {
		return false, nil
	}
	return s.overLimit(c, r, g, id)
}

// countedIntent is an intent that counts for the guards.
type countedIntent struct {
	cost             int64
	fingerprint      [32]byte
	scope, operation string
	repeat           int64
}

func (n *countedIntent) of(op journal.Operation) bool {
	return n.scope == op.Scope && n.operation == op.Name
}

// counted reads an intent, if it counts.
func (c *conn) counted(id int64) (n *countedIntent, err error) {
	err = c.query(selectCounted, func(row []value) error {
		n = &countedIntent{
			cost: intOf(row[0]), scope: string(bytesOf(row[2])), operation: string(bytesOf(row[3])), repeat: intOf(row[4]),
		}
		copy(n.fingerprint[:], bytesOf(row[1]))
		return nil
	}, id)
	return n, err
}

func sameHash(r *journal.Record) int64 {
	var space [256]byte
	b := fingerprint.AppendParts(space[:0], "same", r.Operation.Scope, r.Operation.Name)
	sum := sha256.Sum256(append(b, r.Fingerprint[:]...))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

func budgetHash(op journal.Operation) int64 {
	var space [256]byte
	sum := sha256.Sum256(fingerprint.AppendParts(space[:0], "budget", op.Scope, op.Name))
	return int64(binary.BigEndian.Uint64(sum[:]))
}
