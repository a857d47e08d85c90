//go:build cgo

package sqlite

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/idem-go/idem/internal/fingerprint"
	"github.com/idem-go/idem/journal"
)

// kindKey is what many intents share.
type kindKey struct {
	operation string
	terms     journal.Terms
}

const (
	// A link of the identity that is in memory, those in the table, and what the ID is
	// an alias of, among others whose hash is the same by chance. No joins: SQLite
	// prepares a statement that has one anew each time a value is bound.
	linkColumns  = `SELECT i.id, i.key, i.kind, i.scope, i.name, i.repeat, 0 FROM `
	selectLink   = linkColumns + `intents i WHERE i.id = ?1`
	selectNewest = selectLink + ` UNION ALL ` + linkColumns + `intents i WHERE i.id IN (SELECT intent FROM places WHERE hash = ?2)
		UNION ALL SELECT a.intent, NULL, (SELECT kind FROM intents i WHERE i.id = a.intent), a.scope, a.name, a.repeat, a.after
			FROM aliases a INDEXED BY aliases_identity WHERE a.identity = ?2`
	intentColumns = `INSERT INTO intents (id, identity, keyhash, key, kind, scope, name, repeat, cost, previous,
		fingerprint, rules, begun, owner, head, payload, checksum) VALUES (?1,?2,?3,`
	intentValues = `,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17)`
	// What may stand in the way of a row makes its key NULL, which no row may have.
	insertFirst = intentColumns + `CASE WHEN EXISTS (SELECT 1 FROM places WHERE hash BETWEEN ?18 AND ?19)
		OR EXISTS (SELECT 1 FROM places WHERE hash = ?20) OR EXISTS (SELECT 1 FROM places WHERE hash = ?2)
		OR EXISTS (SELECT 1 FROM aliases INDEXED BY aliases_identity WHERE identity = ?2)
		THEN NULL ELSE ?4 END` + intentValues
	insertIntent = intentColumns + `?4` + intentValues
	selectKind   = `SELECT id FROM kinds WHERE operation = ? AND terms = ?`
	insertKind   = `INSERT INTO kinds (operation, terms) VALUES (?, ?)`
)

// Begin implements Journal.
func (s *Store) Begin(ctx context.Context, r *journal.Record, g journal.Checks) (journal.Conflict, *journal.Record, error) {
	identity := identityOf(r.Operation)
	if standing, err := s.replayable(r, identity); err != nil || standing != nil {
		return journal.ConflictIdentity, standing, err
	}
	if err := s.own(ctx); err != nil {
		return journal.NoConflict, nil, err
	}
	b := s.beginnings.Get().(*beginning)
	defer s.beginnings.Put(b)
	*b = beginning{s: s, r: r, g: g, identity: identity, known: s.knownKind(kindKey{r.Operation.Name, r.Terms}), space: b.space}
	defer b.clear()
	b.fill(b.known)
	err := s.q.put(ctx, b)
	if err != nil || b.obstacle != journal.NoConflict {
		if err == nil && b.obstacle == journal.ConflictIdentity && b.standing.Summary().State == journal.Succeeded {
			s.settled.add(identity)
		}
		return b.obstacle, b.standing, err
	}
	if r.Previous != "" {
		s.replays.drop(identity)
	}
	s.mu.Lock()
	s.owned[r.Key] = holding{b.id, identity}
	if b.known == 0 { // from now on, since it is committed
		k := kindKey{r.Operation.Name, r.Terms}
		s.kinds[k], s.names[b.kind] = b.kind, k
	}
	s.mu.Unlock()
	return journal.NoConflict, nil, nil
}

// beginning is a Begin as its part of a transaction.
type beginning struct {
	s        *Store
	r        *journal.Record
	g        journal.Checks
	identity int64
	known    int64 // its kind, as knownKind has it
	row      [20]driver.NamedValue
	key      hashes
	keyhash  int64 // as in its row

	obstacle journal.Conflict
	standing *journal.Record
	id, kind int64

	space []byte // kept for the next one, as the rest is
}

// clear lets go of what was written.
func (b *beginning) clear() { *b = beginning{space: b.space} }

// fill makes the row, but for its id. What is known before the transaction is not
// worked out inside it, where everybody waits.
func (b *beginning) fill(kind int64) {
	r, owner := b.r, b.s.me()
	b.kind = kind
	sum := summer{space: b.space}
	sum.intent(r)
	b.space = sum.space
	var identity value
	b.key = b.s.hashesOf(r.Key)
	b.keyhash = b.key.exact
	if r.Operation.ID != "" {
		identity = b.identity
		if b.key.first <= b.identity && b.identity <= b.key.last {
			b.keyhash = 0
		}
	}
	for i, v := range [...]value{nil, identity, b.keyhash, r.Key, kind, r.Operation.Scope, r.Operation.ID,
		int64(r.Operation.Repeat), r.Operation.Cost, r.Previous, r.Fingerprint[:], int64(r.FingerprintVersion), r.CreatedAt.UnixNano(),
		owner, r.Head, r.Payload, sum.with(kind, owner), b.key.first, b.key.last, b.key.exact} {
		b.row[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
}

func (b *beginning) apply(c *conn) (err error) {
	b.obstacle, b.standing, b.id = journal.NoConflict, nil, 0
	// Most intents are the first of their identity, and nothing guards them.
	if b.known != 0 && !b.g.Enabled() && b.r.Previous == "" {
		if ok, err := b.insertFirst(c); ok || err != nil {
			return err
		}
	}
	var other int64
	if b.obstacle, other, err = b.s.obstacle(c, b.r, b.g); err != nil {
		return err
	}
	switch b.obstacle {
	case journal.ConflictLimit:
		return nil
	case journal.ConflictIdentity, journal.ConflictDuplicate:
		b.standing, err = b.s.load(c, other)
		return err
	}
	if b.known == 0 {
		kind, err := b.s.kindID(c, kindKey{b.r.Operation.Name, b.r.Terms})
		if err != nil {
			return err
		}
		b.fill(kind)
	}
	if other, err = b.s.find(c, b.r.Key); err != nil {
		return err
	} else if other != 0 {
		return fmt.Errorf("the key %q is another intent's already: Contract.NewKey must make a new one each time", b.r.Key)
	}
	ok, err := b.insert(c, insertIntent, len(b.row)-3)
	switch {
	case err != nil:
		return err
	case !ok:
		return outOfOrder(c.newest + 1)
	case b.g.Enabled():
		return c.change(insertGuarded, b.id, sameHash(b.r), budgetHash(b.r.Operation), b.r.CreatedAt.UnixNano())
	}
	return nil
}

// insertFirst writes the row, unless something may be in its way.
func (b *beginning) insertFirst(c *conn) (bool, error) {
	young, err := b.s.lookYoung(c, b.key)
	if err == nil && len(young) == 0 && b.keyhash != 0 {
		young, err = b.s.lookYoung(c, hashes{1, 0, b.identity})
	}
	if err != nil || len(young) > 0 {
		return false, err
	}
	return b.insert(c, insertFirst, len(b.row))
}

// insert writes the row under the next id, unless something is in its way.
func (b *beginning) insert(c *conn, query string, values int) (bool, error) {
	if err := b.s.enter(c); err != nil {
		return false, err
	}
	id := c.newest + 1
	b.row[0].Value = id
	ok, err := c.add(query, b.row[:values])
	if !ok || err != nil {
		return false, err
	}
	b.id, c.newest, c.last = id, id, rowMark{intent: id}
	c.placing.added = appendPlaces(c.placing.added, id, b.identity, b.keyhash)
	if id%placeEvery == 0 {
		err = b.s.place(c)
	}
	if err == nil && id%sweepEvery == 0 {
		err = b.s.sweep(c, id)
	}
	return true, err
}

// obstacle is what stands in the way of r, and the intent that does.
func (s *Store) obstacle(c *conn, r *journal.Record, g journal.Checks) (journal.Conflict, int64, error) {
	if r.Operation.ID != "" {
		newest, key, first, err := s.newest(c, r.Operation)
		switch {
		case err != nil:
			return journal.NoConflict, 0, err
		case first != 0 && r.Previous == "":
			return journal.ConflictDuplicate, first, nil
		case newest != 0 && key == r.Previous:
			if same, err := c.asRead(newest, g); !same || err != nil {
				return journal.ConflictIdentity, newest, err
			}
		case newest != 0:
			over, err := s.overLimitAgain(c, newest, r, g)
			if over || err != nil {
				return journal.ConflictLimit, 0, err
			}
			return journal.ConflictIdentity, newest, nil
		}
	}
	if !g.Enabled() {
		return journal.NoConflict, 0, nil
	}
	return s.guard(c, r, g, 0)
}

// asRead reports whether an intent may still be succeeded by the one that is begun: it
// is at the version that the caller read, or, where none is named, it is Failed.
func (c *conn) asRead(id int64, g journal.Checks) (bool, error) {
	if g.PreviousVersion != 0 {
		top, err := c.integer(selectTop, 0, id)
		return top == int64(g.PreviousVersion), err
	}
	open, err := c.counted(id)
	return open == nil, err
}

// newest is the id and key of the newest link of an identity, and the intent that
// the identity is an alias of, by an alias that is not older than that link; 0: there
// is none.
func (s *Store) newest(c *conn, op journal.Operation) (id int64, key string, alias int64, err error) {
	identity := identityHash(op)
	young, err := s.lookYoung(c, hashes{1, 0, identity})
	if err != nil {
		return 0, "", 0, err
	}
	return s.newestOf(c, op, identity, young)
}

// newestOf is newest where it is known what the identity may be of those in memory.
func (s *Store) newestOf(c *conn, op journal.Operation, identity int64, young []int64) (id int64, key string, alias int64, err error) {
	var strangers []int64
	after := int64(-1) // of the alias
	scan := func(row []value) error {
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
			if made := intOf(row[6]); made >= after {
				alias, after = n, made
			}
		case n > id:
			id, key = n, string(bytesOf(row[1]))
		}
		return nil
	}
	for len(young) > 1 && err == nil {
		err = c.query(selectLink, scan, young[0])
		young = young[1:]
	}
	if err == nil {
		err = c.query(selectNewest, scan, append(young, 0)[0], identity)
	}
	if id > after { // a newer link
		alias = 0
	}
	return id, key, alias, errors.Join(err, s.sound(c, strangers))
}

// sound checks intents that a hash leads to and that are not what was looked for.
// Two identities or keys hardly ever have one hash: a row that the disk changed is
// likelier, and it may be the very one.
func (s *Store) sound(c *conn, strangers []int64) error {
	for _, id := range strangers {
		if _, err := s.load(c, id); err != nil {
			return err
		}
	}
	return nil
}

// knownKind is the id of what many intents share, where it is known; 0: it is not.
func (s *Store) knownKind(k kindKey) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kinds[k]
}

// kindID reads the id of what many intents share, or makes one. It is remembered
// only once it is committed.
func (s *Store) kindID(c *conn, k kindKey) (int64, error) {
	terms, err := json.Marshal(k.terms)
	if err != nil {
		return 0, err
	}
	if id, err := c.integer(selectKind, 0, k.operation, string(terms)); id != 0 || err != nil {
		return id, err
	}
	if err := c.change(insertKind, k.operation, string(terms)); err != nil {
		return 0, err
	}
	return c.integer(selectKind, 0, k.operation, string(terms))
}

// identityHash says where to look for an identity. The row says whether it is there.
func identityHash(op journal.Operation) int64 {
	var space [256]byte
	return placeHash(sha256.Sum256(fingerprint.AppendParts(space[:0], op.Scope, op.Name, op.ID)))
}

func keyHash(key string) int64 {
	var space [64]byte
	return placeHash(sha256.Sum256(append(space[:0], key...)))
}

// placeHash is 64 bits of a hash, and not 0, which stands for none.
func placeHash(sum [32]byte) int64 {
	return cmp.Or(int64(binary.BigEndian.Uint64(sum[:])), 1)
}
