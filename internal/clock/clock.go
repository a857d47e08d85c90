package clock

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/idem-go/idem/journal"
)

// clock tells journal time: wall time plus an offset that grows by every backward
// step and never shrinks, so that no jump of the wall clock lengthens a window.
type Clock struct {
	wall func() time.Time

	mu     sync.Mutex
	last   time.Time     // the last reading of wall, with its monotonic part
	mark   time.Time     // the one that what went by is counted from,
	markAt time.Time     // and journal time then
	high   time.Time     // the latest journal time known
	offset time.Duration // what backward steps added up to
	saved  time.Duration // so much of it is durable
}

func New(wall func() time.Time) *Clock { return &Clock{wall: wall} }

func (k *Clock) Now() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.read()
}

// read is now. k.mu is held.
func (k *Clock) read() time.Time {
	t := k.wall()
	// What really went by since a reading long ago: the wall clock may have been set
	// back by less than that, and still be ahead of the last reading. Not since the
	// last one: a reading's two parts, wall and monotonic, are taken one after the
	// other, and what lies between them would add up.
	floor := k.high
	since := k.markAt.Add(t.Sub(k.mark))
	if !k.mark.IsZero() && since.After(floor) {
		floor = since
	}
	now := t.Round(0).UTC().Add(k.offset)
	if now.Before(floor) {
		k.offset += floor.Sub(now)
		now = floor
	}
	if k.mark.IsZero() || now.Sub(since) > clockStep { // set forward
		k.mark, k.markAt = t, now
	}
	k.last, k.high = t, now
	return now
}

// clockStep is the shortest step forward of the wall clock that is taken for one.
// The margin of the shortest windows forgives as much.
const clockStep = 100 * time.Millisecond

// seen takes a journal time that somebody wrote down: it is not later than now.
func (k *Clock) See(at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	// Up to this moment first: what went by since the last reading is in at already,
	// and two processes that read each other's rows would outrun the time otherwise.
	k.read()
	if at.After(k.high) {
		k.high = at
		k.mark, k.markAt = k.last, at
	}
}

// saw takes every time in a record.
func (k *Clock) SeeRecord(r *journal.Record) {
	k.See(r.CreatedAt)
	if n := len(r.Changes); n > 0 {
		k.See(r.Changes[n-1].At)
	}
}

const ValueName = "clock offset"

// learn takes the durable offset, as it is on disk: the largest that anybody knew.
func (k *Clock) Learn(durable []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.learnLocked(durable)
}

func (k *Clock) learnLocked(durable []byte) {
	if len(durable) != 8 {
		return
	}
	known := time.Duration(binary.BigEndian.Uint64(durable))
	k.saved = max(k.saved, known)
	if known > k.offset {
		k.high = k.high.Add(known - k.offset)
		k.markAt = k.markAt.Add(known - k.offset)
		k.offset = known
	}
}

// merge is the update of the durable offset. What it returns is durable only when
// it is written: learn is told then.
func (k *Clock) Merge(old []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.learnLocked(old)
	if k.offset == 0 {
		return old, nil
	}
	return binary.BigEndian.AppendUint64(nil, uint64(k.offset)), nil
}

// unsaved tells whether the offset grew by more than the margin of the shortest
// windows forgives since it was last made durable.
func (k *Clock) Unsaved() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.offset-k.saved > clockStep
}
