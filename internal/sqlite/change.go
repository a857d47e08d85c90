//go:build cgo

package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/idem-go/idem/internal/codec"
	"github.com/idem-go/idem/journal"
)

// generations is how many final outcomes one intent can have: it is opened again
// only after one that proves that nothing happened.
const generations = 4096

const (
	// Not intent = ?1: for that max is an order by the rest of the key, and SQLite
	// prepares a statement with such an order anew each time a value is bound.
	selectTop = `SELECT max(coalesce((SELECT max(version) FROM changes WHERE intent BETWEEN ?1 AND ?1), 0),
		coalesce((SELECT max(version) FROM outcomes WHERE id BETWEEN ?1 * 4096 AND ?1 * 4096 + 4095), 0))`
	selectTopOwner     = `SELECT owner FROM changes WHERE intent = ? AND version = ?`
	selectKeyOf        = `SELECT key FROM intents WHERE id = ?`
	selectBegunBy      = `SELECT owner FROM intents WHERE id = ?`
	countOutcomes      = `SELECT count(*) FROM outcomes WHERE id BETWEEN ?1 * 4096 AND ?1 * 4096 + 4095`
	selectOutcomeState = `SELECT state FROM outcomes WHERE id = (SELECT max(id) FROM outcomes WHERE id BETWEEN ?1 * 4096 AND ?1 * 4096 + 4095)`
	insertChange       = `INSERT INTO changes (intent, version, kind, owner, standing, at, reason, note, tries, checksum)
		VALUES (?,?,?,?,?,?,?,?,?,?)`
	insertOutcome = `INSERT INTO outcomes (id, version, kind, state, standing, at, reason, note, tries, status, head, body, checksum)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)`
	// A change that is there already makes the version NULL, which no row may have.
	settleFirst = `INSERT INTO outcomes (id, version, kind, state, standing, at, reason, note, tries, status, head, body, checksum)
		VALUES (?1,CASE WHEN EXISTS (SELECT 1 FROM changes WHERE intent = ?1 / 4096) THEN NULL ELSE ?2 END,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)`
	insertParked = `INSERT OR IGNORE INTO parked (id) VALUES (?)`
)

// Change implements Journal.
func (s *Store) Change(ctx context.Context, change *journal.Change) (journal.Conflict, *journal.Record, error) {
	if err := s.own(ctx); err != nil {
		return journal.NoConflict, nil, err
	}
	s.mu.Lock()
	held := s.owned[change.Key]
	s.mu.Unlock()
	p := s.changings.Get().(*changing)
	defer s.changings.Put(p)
	*p = changing{s: s, change: change, outcome: outcome{space: p.outcome.space}}
	defer p.clear()
	if p.first = held.id != 0 && change.Version == 1 && change.Kind == journal.Settled; p.first {
		p.outcome.fill(held.id*generations, 1, change)
	}
	if err := s.q.put(ctx, p); err != nil {
		return journal.NoConflict, nil, err
	} else if p.conflict != journal.NoConflict {
		return p.conflict, p.standing, nil
	}
	s.mu.Lock()
	if change.Kind == journal.Claimed || change.Kind == journal.AttemptStarted {
		s.owned[change.Key] = holding{p.id, held.identity}
	} else {
		delete(s.owned, change.Key)
	}
	s.mu.Unlock()
	if change.Kind == journal.Settled && held.identity != 0 {
		s.settled.add(held.identity)
	}
	return journal.NoConflict, nil, nil
}

// changing is a Change as its part of a transaction.
type changing struct {
	s       *Store
	change  *journal.Change
	first   bool // it settles an intent that this opener began and holds
	outcome outcome

	id       int64
	conflict journal.Conflict
	standing *journal.Record
}

// clear lets go of what was written.
func (p *changing) clear() { *p = changing{outcome: outcome{space: p.outcome.space}} }

func (p *changing) apply(c *conn) (err error) {
	p.standing, p.conflict = nil, journal.ConflictVersion
	if p.id, err = p.s.find(c, p.change.Key); p.id == 0 || err != nil {
		return err
	}
	// The way that almost every intent goes, in one statement: nobody touched it since
	// it was begun here. What is in its way is found out by append.
	if p.first {
		ok, err := c.add(settleFirst, p.outcome.row[:])
		if err != nil {
			return err
		}
		if ok {
			p.conflict, c.last = journal.NoConflict, rowMark{p.id, 1}
			return nil
		}
	}
	var other int64
	if p.conflict, other, err = p.append(c); p.conflict == journal.NoConflict || other == 0 || err != nil {
		return err
	}
	p.standing, err = p.s.load(c, other)
	return err
}

func (s *Store) find(c *conn, key string) (int64, error) {
	s.mu.Lock()
	held := s.owned[key]
	s.mu.Unlock()
	if held.id != 0 {
		return held.id, nil
	}
	candidates, err := s.look(c, s.hashesOf(key))
	if err != nil {
		return 0, err
	}
	for _, id := range candidates {
		of, err := c.blob(selectKeyOf, id)
		if err != nil || string(of) == key {
			return id, err
		}
	}
	return 0, s.sound(c, candidates)
}

// append adds a change, or returns what conflicts with it and the intent to return: a
// newer version, another living owner, an outcome, or what claimConflict finds.
func (p *changing) append(c *conn) (journal.Conflict, int64, error) {
	s, id, change := p.s, p.id, p.change
	top, err := c.integer(selectTop, 0, id)
	if err != nil {
		return journal.NoConflict, 0, err
	}
	version := int64(change.Version)
	final := change.State == journal.Succeeded || change.State == journal.Failed
	proven := change.Kind == journal.Settled && change.State == journal.Succeeded
	if version != top+1 {
		// Only a proven success may come late, and only where nothing is settled.
		if !proven || version > top {
			return journal.ConflictVersion, id, nil
		}
		version = top + 1
	}
	owner, settled, err := s.topOwner(c, id, top)
	if err != nil {
		return journal.NoConflict, 0, err
	}
	if settled {
		again := change.Kind == journal.Claimed || change.Kind == journal.Resolved && change.State == journal.Failed
		if state, err := s.outcomeState(c, id); !again || state != int64(journal.Failed) || err != nil {
			return journal.ConflictVersion, id, err
		}
	}
	if owner == journal.OwnedByLive && !proven {
		return journal.ConflictVersion, id, nil
	}
	generation, err := s.generation(c, id, top)
	if err != nil {
		return journal.NoConflict, 0, err
	}
	if change.Kind == journal.Claimed {
		if settled && generation >= s.maxOutcomes {
			return journal.ConflictExhausted, id, nil
		}
		if conflict, other, err := s.claimConflict(c, id, settled, owner, change); conflict != journal.NoConflict || err != nil {
			return conflict, other, err
		}
	}
	c.last = rowMark{id, version}
	if final {
		if generation >= s.maxOutcomes {
			return journal.ConflictVersion, id, nil // its ids would run into the next intent's
		}
		var o outcome // p's own stays as it is, for another try
		o.fill(id*generations+generation, version, change)
		ok, err := c.add(insertOutcome, o.row[:])
		if err == nil && !ok {
			err = fmt.Errorf("the outcome of intent number %d cannot be added: one of its generation is there", id)
		}
		return journal.NoConflict, 0, err
	}
	holder := int64(0)
	if change.Kind == journal.Claimed || change.Kind == journal.AttemptStarted {
		holder = s.me()
	}
	if settled { // opened again: recovery would not look for it among the settled
		if err := c.change(insertParked, id*generations+generation); err != nil {
			return journal.NoConflict, 0, err
		}
	}
	st := codec.EncodeSummary(change.Summary, version)
	tries := codec.EncodeAttempts(change.NewAttempts)
	kind, at := int64(change.Kind), change.At.UnixNano()
	return journal.NoConflict, 0, c.change(insertChange, id, version, kind, holder, st, at, change.Reason, change.Note, tries,
		rowSum([]int64{version, kind, holder, at}, st, []byte(change.Reason), []byte(change.Note), tries))
}

// outcomeState returns the state of an intent's newest outcome.
func (s *Store) outcomeState(c *conn, id int64) (int64, error) {
	return c.integer(selectOutcomeState, -1, id)
}

// topOwner is who owns the intent by its newest row, and whether that settled it.
func (s *Store) topOwner(c *conn, id, top int64) (journal.Ownership, bool, error) {
	var owner int64
	var err error
	if top == 0 {
		owner, err = c.integer(selectBegunBy, 0, id)
	} else {
		owner, err = c.integer(selectTopOwner, -1, id, top)
	}
	if err != nil || owner < 0 {
		return journal.Unowned, owner < 0, err // no such change: the newest row is an outcome
	}
	who, err := s.ownership(c, owner)
	return who, false, err
}

// generation counts the final outcomes there are.
func (s *Store) generation(c *conn, id, top int64) (int64, error) {
	if top == 0 {
		return 0, nil
	}
	return c.integer(countOutcomes, 0, id)
}

// outcome is a final outcome as its row.
type outcome struct {
	row   [13]driver.NamedValue
	space []byte
}

func (o *outcome) fill(id, version int64, change *journal.Change) {
	b := codec.AppendSummary(o.space[:0], change.Summary, version)
	st := len(b)
	b = codec.AppendAttempts(b, change.NewAttempts)
	end := len(b)
	var status value
	var tries, head, body []byte
	number := int64(0)
	if r := change.Reply; r != nil {
		number, body = int64(r.Status), r.Body
		status = number
		b = codec.AppendReplyHead(b, r)
		head = b[end:]
		if body == nil {
			body = []byte{}
		}
	}
	if end > st {
		tries = b[st:end:end]
	}
	sum := summer{space: b[len(b):]}
	sum.text(b[:st])
	sum.string(change.Reason)
	sum.string(change.Note)
	sum.text(tries)
	sum.text(head)
	sum.text(body)
	kind, state, at := int64(change.Kind), int64(change.State), change.At.UnixNano()
	o.space = b
	for i, v := range [...]value{id, version, kind, state, b[:st:st], at, change.Reason, change.Note, tries, status,
		head, body, sum.with(version, kind, state, at, number)} {
		o.row[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
}

const insertNote = `INSERT INTO notes (intent, at, reason, text) VALUES (?, ?, ?, ?)`

// Log implements Journal.
func (s *Store) Audit(ctx context.Context, n journal.AuditEntry) error {
	defer s.replays.forget()
	return s.q.commit(ctx, func(c *conn) error {
		id, err := s.find(c, n.Key)
		if err != nil || id == 0 {
			return err
		}
		return c.change(insertNote, id, n.At.UnixNano(), n.Reason, n.Text)
	})
}
