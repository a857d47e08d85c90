//go:build cgo

package sqlite

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/idem-go/idem/journal"
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
	drops int // how often something was forgotten
}

type replay struct {
	record *journal.Record
	size   int
	read   time.Time
}

// get is a record that is kept, for everybody: nobody may write into it.
func (k *replays) get(identity int64, op journal.Operation) *journal.Record {
	k.mu.Lock()
	defer k.mu.Unlock()
	known, ok := k.kept[identity]
	if !ok || !known.record.Operation.SameIdentity(op) || time.Since(known.read) > rereadAfter {
		return nil
	}
	return known.record
}

// at is a moment: what was forgotten after it is not added again by who read it
// before.
func (k *replays) at() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.drops
}

func (k *replays) add(identity int64, r *journal.Record, read int) {
	size := sizeOf(r)
	if size > largestToKeep {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.drops != read {
		return
	}
	if k.kept == nil {
		k.kept = map[int64]replay{}
	}
	k.bytes += size - k.kept[identity].size
	k.kept[identity] = replay{copyRecord(r), size, time.Now()}
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
	k.drops++
}

// drop is told that an identity has a newer link.
func (k *replays) drop(identity int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.bytes -= k.kept[identity].size
	delete(k.kept, identity)
	k.drops++
}

// copyRecord is a record that shares no memory: whoever gets it may write into it.
func copyRecord(r *journal.Record) *journal.Record {
	next := *r
	next.Head, next.Payload = bytes.Clone(r.Head), bytes.Clone(r.Payload)
	next.Changes, next.Audit = slices.Clone(r.Changes), slices.Clone(r.Audit)
	for i := range next.Changes {
		change := &next.Changes[i]
		change.NewAttempts = slices.Clone(change.NewAttempts)
		if change.Reply != nil {
			reply := *change.Reply
			reply.Header, reply.Body = reply.Header.Clone(), bytes.Clone(reply.Body)
			change.Reply = &reply
		}
	}
	return &next
}

// sizeOf is about how many bytes a record takes.
func sizeOf(r *journal.Record) int {
	const each = 64 // a header, a try or a note, besides its texts
	n := len(r.Payload) + len(r.Head)
	for _, change := range r.Changes {
		n += len(change.Note)
		for _, try := range change.NewAttempts {
			n += each + len(try.Reason) + len(try.Err)
		}
		if change.Reply != nil {
			n += len(change.Reply.Body)
			for name, values := range change.Reply.Header {
				n += each + len(name)
				for _, v := range values {
					n += each + len(v)
				}
			}
		}
	}
	for _, note := range r.Audit {
		n += each + len(note.Text)
	}
	return n
}

// Cached is what Begin would say of an identity that succeeded and is kept in memory:
// nil where Begin has to be asked. It is not the caller's own, as Begin's is, but
// everybody's: it is read, and not written into.
func (s *Store) Cached(op journal.Operation) *journal.Record {
	if op.ID == "" {
		return nil
	}
	identity := identityOf(op)
	if !s.settled.has(identity) {
		return nil
	}
	return s.replays.get(identity, op)
}

// replayable is the newest link of r's identity, where it was seen settled before
// and still is what stands in r's way.
func (s *Store) replayable(r *journal.Record, identity int64) (standing *journal.Record, err error) {
	if r.Operation.ID == "" || r.Previous != "" || !s.settled.has(identity) {
		return nil, nil
	}
	if known := s.replays.get(identity, r.Operation); known != nil {
		return copyRecord(known), nil
	}
	before := s.replays.at()
	s.young.mu.Lock() // what others began since may be missed: then Begin goes the usual way
	young := s.young.find(nil, identity, identity)
	s.young.mu.Unlock()
	err = s.read(func(c *conn) error {
		return c.atOnce(func() error {
			newest, _, _, err := s.newestOf(c, r.Operation, identity, young)
			if err != nil || newest == 0 {
				return err
			}
			standing, err = s.load(c, newest)
			return err
		})
	})
	if err != nil || standing == nil || standing.Summary().State != journal.Succeeded {
		return nil, err
	}
	if standing.PrunedAt.IsZero() {
		s.replays.add(identity, standing, before)
	}
	return standing, nil
}
