//go:build cgo

package idem

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A settled intent that is asked for again is read on a connection that reads, not
// through the writer, and the ones asked for most are not read each time.

// hints remembers identities that were seen settled. It forgets, and may be wrong
// about what another process did since: then nothing is lost but a look.
type hints struct{ slots [1 << 14]atomic.Int64 }

func (h *hints) add(identity int64) { h.slots[uint64(identity)%uint64(len(h.slots))].Store(identity) }
func (h *hints) has(identity int64) bool {
	return h.slots[uint64(identity)%uint64(len(h.slots))].Load() == identity
}

const (
	rereadAfter   = time.Second // another process may have pruned it
	keptRecords   = 1 << 10
	keptBytes     = 8 << 20
	largestToKeep = 256 << 10
)

// replays keeps a few of the succeeded intents that were read last. Such an intent
// never changes again but by pruning, and by audit rows.
type replays struct {
	mu    sync.Mutex
	kept  map[int64]replay // by identity hash
	bytes int
}

type replay struct {
	record *Record
	size   int
	read   time.Time
}

func (k *replays) get(identity int64, op Operation) *Record {
	k.mu.Lock()
	defer k.mu.Unlock()
	known, ok := k.kept[identity]
	if !ok || !sameIdentity(known.record.Operation, op) || time.Since(known.read) > rereadAfter {
		return nil
	}
	return known.record.copy()
}

func (k *replays) add(identity int64, r *Record) {
	size := len(r.Payload) + len(r.Head)
	if reply := r.reply(); reply != nil {
		size += len(reply.Body)
	}
	if size > largestToKeep {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil {
		k.kept = map[int64]replay{}
	}
	k.bytes += size - k.kept[identity].size
	k.kept[identity] = replay{r.copy(), size, time.Now()}
	for other, known := range k.kept { // in no order: any will do
		if len(k.kept) <= keptRecords && k.bytes <= keptBytes {
			break
		}
		delete(k.kept, other)
		k.bytes -= known.size
	}
}

// forget is told of what changes a settled intent.
func (k *replays) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept, k.bytes = nil, 0
}

func sameIdentity(a, b Operation) bool {
	return a.Name == b.Name && a.Scope == b.Scope && a.ID == b.ID && a.Repeat == b.Repeat
}

// copy is a record that whoever gets it may open in place, as encryption does.
func (r *Record) copy() *Record {
	next := *r
	next.Changes, next.Notes = slices.Clone(r.Changes), slices.Clone(r.Notes)
	for i := range next.Changes {
		next.Changes[i].Tries = slices.Clone(r.Changes[i].Tries)
	}
	return &next
}

// replayable is the newest link of r's identity, where it was seen settled before
// and still is what stands in r's way.
func (s *sqliteJournal) replayable(r *Record, identity int64) (standing *Record, err error) {
	if r.Operation.ID == "" || r.Previous != "" || !s.settled.has(identity) {
		return nil, nil
	}
	if known := s.replays.get(identity, r.Operation); known != nil {
		return known, nil
	}
	err = s.read(func(c *conn) error {
		newest, _, _, err := s.newest(c, r.Operation)
		if err != nil || newest == 0 {
			return err
		}
		standing, err = s.load(c, newest)
		return err
	})
	if err != nil || standing == nil || standing.Standing().State != Succeeded {
		return nil, err
	}
	if standing.Forgotten.IsZero() {
		s.replays.add(identity, standing)
	}
	return standing, nil
}
