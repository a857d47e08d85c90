//go:build cgo

package idem

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// kindKey is what many intents share.
type kindKey struct {
	operation string
	terms     Terms
}

// generations is how many final outcomes one intent can have: it is opened again
// only after one that proves that nothing happened.
const generations = 4096

const (
	// Every link of the identity, newest first, then what the ID is an alias of, among
	// others whose hash is the same by chance. Named indexes: there are no statistics
	// that the planner could choose by.
	selectNewest = `SELECT id, key, kind, scope, name, repeat FROM intents INDEXED BY intents_identity WHERE identity = ?1
		UNION ALL SELECT a.intent, NULL, (SELECT kind FROM intents i WHERE i.id = a.intent), a.scope, a.name, a.repeat
			FROM aliases a INDEXED BY aliases_identity WHERE a.identity = ?1`
	insertIntent = `INSERT INTO intents (identity, keyhash, key, kind, scope, name, repeat, cost, previous,
		fingerprint, rules, begun, owner, head, payload, checksum)
		SELECT ?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16
		WHERE NOT EXISTS (SELECT 1 FROM intents WHERE keyhash = ?2 AND key = ?3) RETURNING id`
	selectKind    = `SELECT id FROM kinds WHERE operation = ? AND terms = ?`
	insertKind    = `INSERT INTO kinds (operation, terms) VALUES (?, ?)`
	selectKey     = `SELECT id FROM intents WHERE keyhash = ? AND key = ?`
	selectKeyHash = `SELECT id FROM intents WHERE keyhash = ?`
)

// Begin implements Journal.
func (s *sqliteJournal) Begin(ctx context.Context, r *Record, g Guards) (Obstacle, *Record, error) {
	if standing, err := s.replayable(r); err != nil || standing != nil {
		return NewestLink, standing, err
	}
	if err := s.own(ctx); err != nil {
		return NoObstacle, nil, err
	}
	var obstacle Obstacle
	var standing *Record
	var id, kind int64
	shared := kindKey{r.Operation.Name, r.Terms}
	err := s.q.commit(ctx, func(c *conn) (err error) {
		var other int64
		standing, id = nil, 0
		if obstacle, other, err = s.obstacle(c, r, g); err != nil {
			return err
		}
		switch obstacle {
		case OverLimit:
			return nil
		case NewestLink, Reemitted:
			standing, err = s.load(c, other)
			return err
		}
		if kind, err = s.kind(c, shared); err != nil {
			return err
		}
		if id, err = s.insert(c, r, kind); err != nil || !g.on() {
			return err
		}
		return c.change(insertGuarded, id, sameHash(r), budgetHash(r.Operation), r.Begun.UnixNano())
	})
	if err != nil || obstacle != NoObstacle {
		if err == nil && obstacle == NewestLink && standing.Standing().State == Succeeded {
			s.settled.add(identityHash(r.Operation))
		}
		return obstacle, standing, err
	}
	s.mu.Lock()
	s.owned[r.Key] = holding{id, identityOf(r.Operation)}
	if s.names[kind].operation == "" { // known from now on, since it is committed
		s.kinds[shared], s.names[kind] = kind, shared
	}
	s.mu.Unlock()
	return NoObstacle, nil, nil
}

// obstacle is what stands in the way of r, and the intent that does.
func (s *sqliteJournal) obstacle(c *conn, r *Record, g Guards) (Obstacle, int64, error) {
	if r.Operation.ID != "" {
		newest, key, first, err := s.newest(c, r.Operation)
		switch {
		case err != nil:
			return NoObstacle, 0, err
		case newest != 0 && key != r.Previous:
			over, err := s.overLimitAgain(c, newest, r, g)
			if over || err != nil {
				return OverLimit, 0, err
			}
			return NewestLink, newest, nil
		case newest == 0 && first != 0 && r.Previous == "":
			return Reemitted, first, nil
		}
	}
	if !g.on() {
		return NoObstacle, 0, nil
	}
	return s.guard(c, r, g)
}

// newest is the id and key of the newest link of an identity, and the intent that
// the identity is an alias of; 0: there is none.
func (s *sqliteJournal) newest(c *conn, op Operation) (id int64, key string, alias int64, err error) {
	var strangers []int64
	err = c.query(selectNewest, func(row []value) error {
		n := intOf(row[0])
		shared, err := s.kindOf(c, intOf(row[2]))
		switch {
		case err != nil:
			return err
		case shared.operation != op.Name || string(bytesOf(row[4])) != op.ID || string(bytesOf(row[3])) != op.Scope:
			strangers = append(strangers, n)
			return nil
		case intOf(row[5]) != int64(op.Repeat):
			return nil
		}
		switch {
		case row[1] == nil:
			alias = n
		case n > id:
			id, key = n, string(bytesOf(row[1]))
		}
		return nil
	}, identityHash(op))
	return id, key, alias, errors.Join(err, s.sound(c, strangers))
}

// sound checks intents that a hash leads to and that are not what was looked for.
// Two identities or keys hardly ever have one hash: a row that the disk changed is
// likelier, and it may be the very one.
func (s *sqliteJournal) sound(c *conn, strangers []int64) error {
	for _, id := range strangers {
		if _, err := s.load(c, id); err != nil {
			return err
		}
	}
	return nil
}

// kind is the id of what many intents share. It is remembered only once it is
// committed.
func (s *sqliteJournal) kind(c *conn, k kindKey) (int64, error) {
	s.mu.Lock()
	id := s.kinds[k]
	s.mu.Unlock()
	if id != 0 {
		return id, nil
	}
	terms, err := json.Marshal(k.terms)
	if err != nil {
		return 0, err
	}
	if id, err = c.integer(selectKind, 0, k.operation, string(terms)); id != 0 || err != nil {
		return id, err
	}
	if err := c.change(insertKind, k.operation, string(terms)); err != nil {
		return 0, err
	}
	return c.integer(selectKind, 0, k.operation, string(terms))
}

func (s *sqliteJournal) insert(c *conn, r *Record, kind int64) (int64, error) {
	var identity value
	if r.Operation.ID != "" {
		identity = identityHash(r.Operation)
	}
	c.changed = true
	owner := s.me()
	id, err := c.integer(insertIntent, 0, identity, keyHash(r.Key), r.Key, kind, r.Operation.Scope, r.Operation.ID,
		int64(r.Operation.Repeat), r.Operation.Cost, r.Previous, r.Fingerprint[:], int64(r.Rules), r.Begun.UnixNano(),
		owner, r.Head, r.Payload, rowSum([]int64{kind, owner}, intentTexts(r)...))
	if err == nil && id == 0 {
		err = fmt.Errorf("the key %q is another intent's already: Contract.NewKey must make a new one each time", r.Key)
	}
	c.last = rowMark{intent: id}
	if err == nil && id%sweepEvery == 0 {
		err = s.sweep(c, id)
	}
	return id, err
}

// identityHash says where to look for an identity. The row says whether it is there.
func identityHash(op Operation) int64 {
	var space [256]byte
	sum := sha256.Sum256(appendParts(space[:0], op.Scope, op.Name, op.ID))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

func keyHash(key string) int64 {
	var space [64]byte
	sum := sha256.Sum256(append(space[:0], key...))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

const (
	selectTop = `SELECT max(v) FROM (SELECT max(version) AS v FROM changes WHERE intent = ?1
		UNION ALL SELECT max(version) FROM outcomes WHERE id BETWEEN ?1 * 4096 AND ?1 * 4096 + 4095)`
	selectTopOwner = `SELECT owner FROM changes WHERE intent = ? AND version = ?`
	selectBegunBy  = `SELECT owner FROM intents WHERE id = ?`
	countOutcomes  = `SELECT count(*) FROM outcomes WHERE id BETWEEN ?1 * 4096 AND ?1 * 4096 + 4095`
	insertChange   = `INSERT INTO changes (intent, version, kind, owner, standing, at, reason, note, tries, checksum)
		VALUES (?,?,?,?,?,?,?,?,?,?)`
	insertOutcome = `INSERT INTO outcomes (id, version, kind, state, standing, at, reason, note, tries, status, head, body, checksum)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)`
	settleFirst = `INSERT INTO outcomes (id, version, kind, state, standing, at, reason, note, tries, status, head, body, checksum)
		SELECT ?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13 WHERE NOT EXISTS (SELECT 1 FROM changes WHERE intent = ?1 / 4096)
		ON CONFLICT (id) DO NOTHING RETURNING id`
	insertParked = `INSERT OR IGNORE INTO parked (id) VALUES (?)`
)

// Change implements Journal.
func (s *sqliteJournal) Change(ctx context.Context, change *Change) (standing *Record, ok bool, err error) {
	if err := s.own(ctx); err != nil {
		return nil, false, err
	}
	var id int64
	s.mu.Lock()
	held := s.owned[change.Key]
	s.mu.Unlock()
	err = s.q.commit(ctx, func(c *conn) (err error) {
		standing, ok = nil, false
		if id, err = s.find(c, change.Key); id == 0 || err != nil {
			return err
		}
		if ok, err = s.first(c, id, change); ok || err != nil {
			return err
		}
		if ok, err = s.append(c, id, change); ok || err != nil {
			return err
		}
		standing, err = s.load(c, id)
		return err
	})
	if err != nil || !ok {
		return standing, false, err
	}
	s.mu.Lock()
	if change.Kind == Claimed || change.Kind == Marked {
		s.owned[change.Key] = holding{id, held.identity}
	} else {
		delete(s.owned, change.Key)
	}
	s.mu.Unlock()
	if change.Kind == Settled && held.identity != 0 {
		s.settled.add(held.identity)
	}
	return nil, true, nil
}

func (s *sqliteJournal) find(c *conn, key string) (int64, error) {
	s.mu.Lock()
	held := s.owned[key]
	s.mu.Unlock()
	if held.id != 0 {
		return held.id, nil
	}
	id, err := c.integer(selectKey, 0, keyHash(key), key)
	if id != 0 || err != nil {
		return id, err
	}
	strangers, err := ids(c, selectKeyHash, keyHash(key))
	return 0, errors.Join(err, s.sound(c, strangers))
}

// first settles an intent that this opener began and nobody touched since: the
// way that almost every intent goes, in one statement. What is in its way is found
// out by append.
func (s *sqliteJournal) first(c *conn, id int64, change *Change) (bool, error) {
	s.mu.Lock()
	_, mine := s.owned[change.Key]
	s.mu.Unlock()
	if !mine || change.Version != 1 || change.Kind != Settled {
		return false, nil
	}
	c.changed = true
	inserted, err := c.integer(settleFirst, 0, outcomeRow(id*generations, 1, change)...)
	if inserted != 0 {
		c.last = rowMark{id, 1}
	}
	return inserted != 0, err
}

// append adds a change if nothing stands in its way: a newer version, another
// living owner, or a final outcome.
func (s *sqliteJournal) append(c *conn, id int64, change *Change) (bool, error) {
	top, err := c.integer(selectTop, 0, id)
	if err != nil {
		return false, err
	}
	version := int64(change.Version)
	final := change.State == Succeeded || change.State == Failed
	if version != top+1 {
		// Only a proven success may come late, and only where nothing is settled.
		if change.Kind != Settled || change.State != Succeeded || version > top {
			return false, nil
		}
		version = top + 1
	}
	owner, settled, err := s.topOwner(c, id, top)
	if err != nil {
		return false, err
	}
	if settled && change.Kind != Claimed {
		return false, nil
	}
	if owner == OwnedAlive && (change.Kind != Settled || change.State != Succeeded) {
		return false, nil
	}
	generation, err := s.generation(c, id, top)
	if err != nil {
		return false, err
	}
	c.last = rowMark{id, version}
	if final {
		return true, s.insertOutcome(c, id*generations+generation, version, change)
	}
	holder := int64(0)
	if change.Kind == Claimed || change.Kind == Marked {
		holder = s.me()
	}
	if settled { // opened again: recovery would not look for it among the settled
		if err := c.change(insertParked, id*generations+generation); err != nil {
			return false, err
		}
	}
	st := encodeStanding(change.Standing, version)
	tries := encodeTries(change.Tries)
	kind, at := int64(change.Kind), change.At.UnixNano()
	return true, c.change(insertChange, id, version, kind, holder, st, at, change.Reason, change.Note, tries,
		rowSum([]int64{version, kind, holder, at}, st, []byte(change.Reason), []byte(change.Note), tries))
}

// topOwner is who owns the intent by its newest row, and whether that settled it.
func (s *sqliteJournal) topOwner(c *conn, id, top int64) (Ownership, bool, error) {
	var owner int64
	var err error
	if top == 0 {
		owner, err = c.integer(selectBegunBy, 0, id)
	} else {
		owner, err = c.integer(selectTopOwner, -1, id, top)
	}
	if err != nil || owner < 0 {
		return Unowned, owner < 0, err // no such change: the newest row is an outcome
	}
	who, err := s.ownership(c, owner)
	return who, false, err
}

// generation counts the final outcomes there are.
func (s *sqliteJournal) generation(c *conn, id, top int64) (int64, error) {
	if top == 0 {
		return 0, nil
	}
	return c.integer(countOutcomes, 0, id)
}

func (s *sqliteJournal) insertOutcome(c *conn, id, version int64, change *Change) error {
	return c.change(insertOutcome, outcomeRow(id, version, change)...)
}

// outcomeRow is a final outcome as its row.
func outcomeRow(id, version int64, change *Change) []value {
	st := encodeStanding(change.Standing, version)
	tries := encodeTries(change.Tries)
	var status value
	var head, body []byte
	if r := change.Reply; r != nil {
		status, head, body = int64(r.Status), encodeReplyHead(r), r.Body
		if body == nil {
			body = []byte{}
		}
	}
	kind, state, at := int64(change.Kind), int64(change.State), change.At.UnixNano()
	return []value{id, version, kind, state, st, at, change.Reason, change.Note, tries, status, head, body,
		rowSum([]int64{version, kind, state, at, intOf(status)}, st, []byte(change.Reason), []byte(change.Note), tries, head, body)}
}

const (
	sweepEvery = 1024
	sweepLag   = 512 // the newest intents are mostly still under way
	parkOpen   = `INSERT OR IGNORE INTO parked (id) SELECT i.id * 4096 FROM intents i WHERE i.id >= ? AND i.id < ?
		AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.id = i.id * 4096)`
	unpark = `DELETE FROM parked WHERE EXISTS (SELECT 1 FROM outcomes o WHERE o.id = parked.id)`
)

// sweep raises the floor, below which recovery looks only at what is parked. It is
// part of a Begin's transaction now and then, and reads a thousand ids.
func (s *sqliteJournal) sweep(c *conn, newest int64) error {
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
	if err := c.change(unpark); err != nil {
		return err
	}
	return c.change(insertValue, valueFloor, []byte(strconv.FormatInt(upTo, 10)))
}

func (s *sqliteJournal) floor(c *conn) (int64, error) {
	text, err := c.blob(selectValue, valueFloor)
	if err != nil || text == nil {
		return 1, err
	}
	return strconv.ParseInt(string(text), 10, 64)
}

const insertNote = `INSERT INTO notes (intent, at, reason, text) VALUES (?, ?, ?, ?)`

// Log implements Journal.
func (s *sqliteJournal) Log(ctx context.Context, n Note) error {
	return s.q.commit(ctx, func(c *conn) error {
		id, err := s.find(c, n.Key)
		if err != nil || id == 0 {
			return err
		}
		return c.change(insertNote, id, n.At.UnixNano(), n.Reason, n.Text)
	})
}
