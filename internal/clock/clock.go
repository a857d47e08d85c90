// Package clock keeps journal time. Journal time is wall time plus an offset. The
// offset grows by every step backward of the wall clock and never shrinks, so journal
// time never runs backward and no change of the wall clock lengthens the time in which
// a key may be sent. The client stores the offset in the journal.
package clock

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/idem-go/idem/journal"
)

// Clock returns journal time. It may be used by many goroutines at once.
type Clock struct {
	wall func() time.Time

	mu     sync.Mutex
	last   time.Time     // last reading of wall, with its monotonic part
	mark   time.Time     // reading of wall from which the monotonic clock is counted
	markAt time.Time     // journal time at mark
	high   time.Time     // latest journal time known
	offset time.Duration // sum of the steps backward
	saved  time.Duration // part of offset that is durable
}

// New returns a Clock that reads the wall clock by calling wall. Its offset is 0 until
// Learn is called.
func New(wall func() time.Time) *Clock { return &Clock{wall: wall} }

// Now returns the current journal time in UTC. It is never before a time that Now has
// returned or that See was called with.
func (k *Clock) Now() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.read()
}

// read returns the current journal time. k.mu is held.
func (k *Clock) read() time.Time {
	t := k.wall()
	// Journal time advances at least as the monotonic clock does since mark. A step
	// backward of the wall clock that is shorter than the time since the last reading
	// shows only in that comparison. The comparison is with mark and not with the last
	// reading, because the wall and monotonic parts of a reading are taken one after the
	// other, and the small differences between them would add up.
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
	if k.mark.IsZero() || now.Sub(since) > clockStep { // the wall clock was set forward
		k.mark, k.markAt = t, now
	}
	k.last, k.high = t, now
	return now
}

// clockStep is the shortest step forward of the wall clock that counts as a step, and
// the greatest part of the offset that may be lost. The margin at the end of a
// retention of one second or more is at least as long.
const clockStep = 100 * time.Millisecond

// See tells k about a journal time that is recorded: Now is never before at from now
// on.
func (k *Clock) See(at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	// Read first: the time since the last reading is part of at already. Without this,
	// two processes that read each other's records would count it twice, and journal
	// time would run faster than the wall clock.
	k.read()
	if at.After(k.high) {
		k.high = at
		k.mark, k.markAt = k.last, at
	}
}

// SeeRecord calls See with the latest times of r: its creation and its newest change.
func (k *Clock) SeeRecord(r *journal.Record) {
	k.See(r.CreatedAt)
	if n := len(r.Changes); n > 0 {
		k.See(r.Changes[n-1].At)
	}
}

// ValueName is the name under which the client stores the offset with Journal.Value.
const ValueName = "clock offset"

// Learn takes the offset that is stored in the journal. It ignores text that is not an
// offset, such as nil. The offset of k grows to it if it is smaller.
func (k *Clock) Learn(durable []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.learnLocked(durable)
}

// learnLocked is Learn. k.mu is held.
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

// Merge returns the offset to store, given the stored one: the greater of that and the
// offset of k. It is the update function of Journal.Value. The caller calls Learn with
// the result once it is durable.
func (k *Clock) Merge(old []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.learnLocked(old)
	if k.offset == 0 {
		return old, nil
	}
	return binary.BigEndian.AppendUint64(nil, uint64(k.offset)), nil
}

// Unsaved reports whether the offset has grown by more than clockStep since it was last
// made durable, so that it has to be stored before the next record.
func (k *Clock) Unsaved() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.offset-k.saved > clockStep
}
