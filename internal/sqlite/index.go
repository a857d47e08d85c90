//go:build cgo

package sqlite

import (
	"cmp"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
)

// An intent is found by a hash of its identity or of its key. Hashes are random: in an
// index each costs a page of its own once there are many. So the newest places are
// read from the table of intents into memory, and go to the table of places later,
// thousands of them in the order of their hashes, so that they share its pages.

const (
	youngShare = 8       // one in so many intents is in memory: a larger table has more pages to share
	youngLeast = 64      // and this many at least,
	youngMost  = 1 << 15 // or at most
	placeEvery = 32      // intents from one step to the next
	placeStep  = 128     // places that a step puts into the table, or a few more
	youngPage  = 512     // intents that are read at once

	selectYoung = `SELECT id, identity, keyhash FROM intents WHERE id > ? ORDER BY id LIMIT ?`
	selectPlace = `SELECT intent FROM places WHERE hash BETWEEN ?1 AND ?2 UNION ALL SELECT intent FROM places WHERE hash = ?3`
	insertPlace = `INSERT OR IGNORE INTO places (hash, intent) VALUES (?, ?)`
	dropPlaces  = `DELETE FROM places WHERE intent = ?1 AND hash IN (
		SELECT identity FROM intents WHERE id = ?1 UNION ALL SELECT keyhash FROM intents WHERE id = ?1)`
	valuePlaced = "placed"
)

// youngEnough is how many intents wait in memory until their places are put into the
// table.
func youngEnough(newest int64) int64 { return min(max(newest/youngShare, youngLeast), youngMost) }

// place says that an intent may be what has a hash. Its row says whether it is.
type place struct{ hash, intent int64 }

// young are the places that are in memory: those of the intents after from, as far as
// upTo. All before them are in the table; some of them may be.
type young struct {
	mu         sync.Mutex
	read       bool
	from, upTo int64
	list       []youngPlace    // in the order of intents
	newest     map[int64]int32 // by the upper 60 bits of a hash: 1 + where in list

	order   []place // those up to orderOf in the order of hashes, while they are put
	orderOf int64
}

// youngPlace is one in a chain of those that have the upper 60 bits in common.
type youngPlace struct {
	place
	older int32 // 1 + where in list; 0: none
}

// add takes in places, in the order of intents, but for those of intents that it has.
// y.mu is held.
func (y *young) add(places []place) {
	known := y.upTo
	for _, p := range places {
		if p.intent > known {
			y.append(p)
			y.upTo = p.intent
		}
	}
}

func (y *young) append(p place) {
	if y.newest == nil {
		y.newest = map[int64]int32{}
	}
	y.list = append(y.list, youngPlace{p, y.newest[p.hash>>4]})
	y.newest[p.hash>>4] = int32(len(y.list))
}

// find appends the intents of the hashes from first to last, which have their upper
// 60 bits in common. y.mu is held.
func (y *young) find(found []int64, first, last int64) []int64 {
	for at := y.newest[first>>4]; at != 0; {
		p := y.list[at-1]
		if first <= p.hash && p.hash <= last {
			found = append(found, p.intent)
		}
		at = p.older
	}
	return found
}

// sorted are the places up to an intent in the order of their hashes.
func (y *young) sorted(upTo int64) []place {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.orderOf != upTo {
		y.order, y.orderOf = nil, upTo
		for _, p := range y.list {
			if p.intent <= upTo {
				y.order = append(y.order, p.place)
			}
		}
		slices.SortFunc(y.order, func(a, b place) int {
			return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.intent, b.intent))
		})
	}
	return y.order
}

// committed is told what a transaction did that is durable now.
func (y *young) committed(did *placing) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.add(did.added)
	y.forget(did.placed, did.dropped)
}

// forget lets go of what is in the table for good, and of what is gone. y.mu is held.
func (y *young) forget(placed int64, dropped []int64) {
	if placed <= y.from && len(dropped) == 0 {
		return
	}
	y.from = max(y.from, placed)
	old := y.list
	y.list, y.newest, y.order, y.orderOf = nil, nil, nil, 0
	for _, p := range old {
		if p.intent > y.from && !slices.Contains(dropped, p.intent) {
			y.append(p.place)
		}
	}
}

// placing is what a transaction under way does to places.
type placing struct {
	added   []place // of intents that it began
	placed  int64   // every intent up to it is in the table
	dropped []int64 // intents that are gone
}

func (p *placing) find(found []int64, first, last int64) []int64 {
	for _, added := range p.added {
		if first <= added.hash && added.hash <= last {
			found = append(found, added.intent)
		}
	}
	return found
}

// hashes say where to look: from first to last, and exact. first and last have their
// upper 60 bits in common, or first is greater: then there are none.
type hashes struct{ first, last, exact int64 }

// hashesOf says where to look for a key: by its own hash, or by the identity that it
// leads to.
func (s *Store) hashesOf(key string) hashes {
	first, last := s.locator.identities(key)
	return hashes{first, last, keyHash(key)}
}

// enter reads, once in a transaction and before it begins an intent, what others
// began since the last one.
func (s *Store) enter(c *conn) error {
	if c.newest >= 0 {
		return nil
	}
	if err := s.readYoung(c); err != nil {
		return err
	}
	s.young.mu.Lock()
	defer s.young.mu.Unlock()
	c.newest = s.young.upTo
	return nil
}

// readYoung takes in the intents that were committed since the last time, or those
// of them that are not in the table yet.
func (s *Store) readYoung(c *conn) error {
	more, err := s.readSome(c, false)
	for more && err == nil {
		more, err = s.readSome(c, true)
	}
	return err
}

// readSome reads some of them. It tells whether there may be more; the next one is
// told so too: then others wrote much, and most of it may be in the table.
func (s *Store) readSome(c *conn, again bool) (more bool, err error) {
	y := &s.young
	y.mu.Lock()
	read, after := y.read, y.upTo
	crowded := after-y.from > 2*youngEnough(after) // others write, and nobody here does
	y.mu.Unlock()
	var at placedTo
	if !read || crowded || again {
		if at, err = s.placed(c); err != nil {
			return false, err
		}
	}
	after = max(after, at.upTo)
	last, n := after, 0
	var places []place
	err = c.query(selectYoung, func(row []value) error {
		id := intOf(row[0])
		if id <= last {
			return outOfOrder(id)
		}
		last = id
		n++
		places = appendPlaces(places, id, intOf(row[1]), intOf(row[2]))
		return nil
	}, after, int64(youngPage))
	if err != nil {
		return false, err
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.read = true
	y.upTo = max(y.upTo, at.upTo)
	y.forget(at.upTo, nil)
	y.add(places) // another reader may have been here before
	return n == youngPage, nil
}

// appendPlaces appends the places of an intent. A hash of 0 leads nowhere.
func appendPlaces(places []place, intent, identity, keyhash int64) []place {
	if identity != 0 {
		places = append(places, place{identity, intent})
	}
	if keyhash != 0 {
		places = append(places, place{keyhash, intent})
	}
	return places
}

// look returns the intents that hashes may lead to, in no order.
func (s *Store) look(c *conn, h hashes) ([]int64, error) {
	found, err := s.lookYoung(c, h)
	if err != nil {
		return nil, err
	}
	// After those in memory: what was put into the table since is found twice, and
	// not missed.
	err = c.query(selectPlace, func(row []value) error {
		found = append(found, intOf(row[0]))
		return nil
	}, h.first, h.last, h.exact)
	slices.Sort(found)
	return slices.Compact(found), err
}

// lookYoung is look for what is not in the table.
func (s *Store) lookYoung(c *conn, h hashes) ([]int64, error) {
	var err error
	if c == s.q.conn {
		err = s.enter(c)
	} else {
		err = s.readYoung(c)
	}
	if err != nil {
		return nil, err
	}
	found := c.placing.find(c.placing.find(nil, h.first, h.last), h.exact, h.exact)
	s.young.mu.Lock()
	defer s.young.mu.Unlock()
	return s.young.find(s.young.find(found, h.first, h.last), h.exact, h.exact), nil
}

// placedTo is how far intents were put into the table of places: every one up to
// upTo, and of those up to next, where it is not 0, what has a hash up to done.
type placedTo struct{ upTo, next, done int64 }

// placed reads how far intents were put into the table. The value ends with a
// checksum: those that it leaves out would be begun a second time.
func (s *Store) placed(c *conn) (at placedTo, err error) {
	text, err := c.blob(selectValue, valuePlaced)
	if err != nil {
		return at, err
	}
	var sum uint32
	if n, _ := fmt.Sscanf(string(text), "%d %d %d %x", &at.upTo, &at.next, &at.done, &sum); n != 4 || at.encode() != string(text) {
		return at, damaged("where its places end", "it does not fit its checksum")
	}
	return at, nil
}

func (at placedTo) encode() string {
	text := fmt.Sprintf("%d %d %d", at.upTo, at.next, at.done)
	return fmt.Sprintf("%s %08x", text, crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)))
}

// place puts some of the places that are in memory into the table, once there are
// enough. It is part of a Begin's transaction now and then. How far it came is in
// the journal, so that one process goes on where another stopped.
func (s *Store) place(c *conn) error {
	at, err := s.placed(c)
	if err != nil {
		return err
	}
	c.placing.placed = at.upTo // perhaps by another process
	s.young.mu.Lock()
	newest := s.young.upTo // committed
	s.young.mu.Unlock()
	first := at.next == 0
	if first {
		if newest-at.upTo < youngEnough(newest) {
			return nil
		}
		at.next = newest
	}
	order := s.young.sorted(at.next)
	i := 0
	if !first {
		i, _ = slices.BinarySearchFunc(order, at.done, func(p place, done int64) int {
			if p.hash > done {
				return 1
			}
			return -1
		})
	}
	for n := 0; i < len(order) && (n < placeStep || order[i].hash == at.done); n++ {
		// Another process may have dropped it: then its place leads nowhere, as a hash
		// does that is another's by chance.
		if order[i].intent > at.upTo {
			if err := c.change(insertPlace, order[i].hash, order[i].intent); err != nil {
				return err
			}
		}
		at.done = order[i].hash
		i++
	}
	if i == len(order) {
		at = placedTo{upTo: at.next}
		c.placing.placed = at.upTo
	}
	return c.change(insertValue, valuePlaced, []byte(at.encode()))
}
