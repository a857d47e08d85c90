//go:build cgo

package sqlite

import (
	"context"
	"errors"
	"time"
)

// Queries returns the look-ups of the store by name.
func Queries() map[string]string {
	return map[string]string{
		"newest": selectNewest, "link": selectLink, "place": selectPlace, "young": selectYoung, "key of": selectKeyOf, "intent": selectIntent, "changes": selectChanges,
		"outcomes": selectOutcomes, "notes": selectNotes, "open": selectOpen, "failed": selectFailed,
		"by kind": selectByKind, "counts": countByName, "drop kindred": dropKindred, "kindred": addKindred, "begun": selectBegun, "last": selectLast, "top": selectTop,
		"same": selectSame, "budget": selectBudget, "counted": selectCounted,
		"late": selectLate, "shed": selectToShed, "drop aliases": dropAliases, "drop places": dropPlaces,
	}
}

// SetMaxOutcomes sets how many outcomes one intent can have.
func (s *Store) SetMaxOutcomes(n int64) { s.maxOutcomes = n }

// OpenWaiting is Open with other bounds of the waits for other processes: turn for the
// slots of the lock file and for other goroutines, and writeLock for SQLite's lock.
func OpenWaiting(path string, turn, writeLock time.Duration) (*Store, error) {
	return open(path, waits{turn: turn, writeLock: writeLock})
}

// HoldReaders takes every connection that reads until they are released.
func (s *Store) HoldReaders() (release func()) {
	for range poolSize {
		s.readers.slots <- struct{}{}
	}
	return func() {
		for range poolSize {
			<-s.readers.slots
		}
	}
}

// QueuedWrites returns how many callers wait for their write.
func (s *Store) QueuedWrites() int {
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	return len(s.q.queue)
}

// PragmaOf reads a number that a pragma has on the connection that writes, and on
// one that reads.
func (s *Store) PragmaOf(pragma string) (writer, reader int64, err error) {
	writer, err = s.q.conn.integer("PRAGMA "+pragma, -1)
	if err == nil {
		err = s.read(func(c *conn) (err error) {
			reader, err = c.integer("PRAGMA "+pragma, -1)
			return err
		})
	}
	return writer, reader, err
}

// Pragma sets a pragma of the connection that writes, when its turn comes.
func (s *Store) Pragma(text string) error {
	return s.q.commit(context.Background(), func(c *conn) error {
		return c.query("PRAGMA "+text, func([]value) error { return nil })
	})
}

// IndexedInMemory returns how many index entries the store keeps in memory.
func (s *Store) IndexedInMemory() int {
	s.young.mu.Lock()
	defer s.young.mu.Unlock()
	return len(s.young.list)
}

// HoldTransaction begins a transaction that lasts until it is released: what comes
// meanwhile shares the next one.
func (s *Store) HoldTransaction() (release func(), err error) {
	if err := s.own(context.Background()); err != nil {
		return nil, err
	}
	held, end := make(chan struct{}), make(chan struct{})
	go s.q.commit(context.Background(), func(*conn) error {
		close(held)
		<-end
		return nil
	})
	<-held
	return func() { close(end) }, nil
}

// DropAll runs the step of a pruning that drops identities, all that are settled.
// The transaction that it is in fails in the end, once.
func (s *Store) DropAll() error {
	return s.q.commit(context.Background(), func(w *conn) error {
		also := s.q.also
		s.q.also = func(*conn) error {
			s.q.also = also
			return errors.New("the disk is full")
		}
		_, _, err := s.dropOld(w, 0, time.Now().UnixNano())
		return err
	})
}
