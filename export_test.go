package idem

import (
	"context"
	"errors"
	"time"

	"github.com/idem-go/idem/internal/lockfile"
)

// What the tests in package idem_test reach into: the pure functions of life.go,
// under exported names, and the two things a test cannot wait for.

// WithWall sets what the client takes for the wall clock.
func WithWall(wall func() time.Time) Option {
	return func(o *options) error { o.wall = wall; return nil }
}

// WithIdleRelease sets after how long a Begin that sees no Do is released.
func WithIdleRelease(d time.Duration) Option {
	return func(o *options) error { o.idleRelease = d; return nil }
}

// Finding is what one attempt proved.
type Finding = finding

// The findings.
const (
	FoundNotSent  = foundNotSent
	FoundUnknown  = foundUnknown
	FoundDone     = foundDone
	FoundRefused  = foundRefused
	FoundNotNow   = foundNotNow
	FoundLater    = foundLater
	FoundInFlight = foundInFlight
	FoundMismatch = foundMismatch
)

// Move is what to do after an attempt.
type Move = verdictMove

// The moves.
const (
	MoveSettle = moveSettle
	MoveAgain  = moveAgain
	MoveStop   = moveStop
)

// Meeting is what a call does about an intent that is there already.
type Meeting = meeting

// The meetings.
const (
	MeetJoin     = meetJoin
	MeetRun      = meetRun
	MeetWait     = meetWait
	MeetClaim    = meetClaim
	MeetReplay   = meetReplay
	MeetMismatch = meetMismatch
	MeetNewLink  = meetNewLink
	MeetForgot   = meetForgot
)

// MaxTakeovers is how many owners may die over an intent before it is parked.
const MaxTakeovers = maxTakeovers

// After is Standing.after.
func (st Summary) After(f Finding, stored bool, began time.Time, keepsKeys, more bool) (Summary, Move) {
	return after(st, evidence{finding: f, stored: stored}, began, keepsKeys, more)
}

// Claimed is Standing.claimed.
func (st Summary) Claimed(owner Ownership, t Terms, now time.Time) Summary {
	return claim(st, owner, t, now)
}

// MaySend is Standing.maySend.
func (st Summary) MaySend(retention, attempt time.Duration, now time.Time) bool {
	return maySend(st, retention, attempt, now)
}

// SafeUntil is Standing.safeUntil.
func (st Summary) SafeUntil(retention, attempt time.Duration) time.Time {
	return safeUntil(st, retention, attempt)
}

// Meet is meet.
func Meet(r *Record, running, same bool) Meeting { return meet(r, running, same) }

// Queries are the journal's look-ups, by name.
func Queries() map[string]string {
	return map[string]string{
		"newest": selectNewest, "link": selectLink, "place": selectPlace, "young": selectYoung, "key of": selectKeyOf, "intent": selectIntent, "changes": selectChanges,
		"outcomes": selectOutcomes, "notes": selectNotes, "open": selectOpen, "failed": selectFailed,
		"by kind": selectByKind, "counts": countByName, "drop kindred": dropKindred, "kindred": addKindred, "begun": selectBegun, "last": selectLast, "top": selectTop,
		"same": selectSame, "budget": selectBudget, "counted": selectCounted,
		"late": selectLate, "shed": selectToShed, "drop aliases": dropAliases, "drop places": dropPlaces,
	}
}

// PlaceTurn is the place in the lock file that the next writer holds.
const PlaceTurn = lockfile.WriterQueueSlot

// PlacesInMemory is how many places a client keeps in memory.
func PlacesInMemory(c *Client) int {
	s := c.journal.(*sqliteJournal)
	s.young.mu.Lock()
	defer s.young.mu.Unlock()
	return len(s.young.list)
}

// HoldTransaction begins a transaction of a client's journal that lasts until it is
// released: what comes meanwhile shares the next one.
func HoldTransaction(c *Client) (release func(), err error) {
	s := c.journal.(*sqliteJournal)
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

// DropAll is the step of a pruning that drops identities, all that are settled. The
// transaction that it is in fails in the end, once.
func DropAll(c *Client) error {
	s := c.journal.(*sqliteJournal)
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
