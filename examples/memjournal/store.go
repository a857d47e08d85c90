package memjournal

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/idem-go/idem/journal"
)

// Store holds intents in memory. Make one with New.
//
// One mutex guards everything, so each method of a Journal is one transaction. A store
// on a server uses the transactions of its database instead.
type Store struct {
	mu       sync.Mutex
	intents  []*intent            // in the order of Begin
	byKey    map[string]*intent   // all of intents
	newest   map[identity]*intent // those with an ID: the last link of each identity
	aliases  map[identity]alias   // the IDs of duplicates
	created  int                  // number of the last intent
	values   map[string][]byte
	counters map[counter]journal.Counter
}

// alias says that an ID stands for an intent that was begun under another ID.
type alias struct {
	of    *intent
	after *intent // the newest intent of the ID's own identity then; nil: it had none
}

// intent is one intent and its owner.
//
// record is never modified: a change replaces it by a new record. So Cached can return
// it to many callers without a copy. Its field Owner is not used, because the owner
// looks different to each Journal.
type intent struct {
	number int // the cursor of Page
	record *journal.Record
	owner  *Journal  // nil: released or settled
	since  time.Time // from when it counts in windows and budgets, while it is not Failed
}

// identity is what makes two operations the same intent. The cost is no part of it.
type identity struct {
	scope, name, id string
	repeat          int
}

func identityOf(op journal.Operation) identity {
	return identity{op.Scope, op.Name, op.ID, op.Repeat}
}

// New returns an empty store.
func New() *Store {
	return &Store{
		byKey: map[string]*intent{}, newest: map[identity]*intent{}, aliases: map[identity]alias{},
		values: map[string][]byte{}, counters: map[counter]journal.Counter{},
	}
}

// Open returns a new opener of the store. It may be called any number of times.
func (s *Store) Open() *Journal { return &Journal{store: s} }

// Journal is one opener of a Store. It implements journal.Journal, journal.KeyMaker
// and journal.Cacher.
type Journal struct {
	store *Store
	ended bool // closed or killed; guarded by store.mu
}

var (
	_ journal.Journal  = (*Journal)(nil)
	_ journal.KeyMaker = (*Journal)(nil)
	_ journal.Cacher   = (*Journal)(nil)
)

// errEnded is the error of all methods after Close or Kill.
var errEnded = errors.New("memjournal: the journal is closed: call Store.Open for another one")

// Close implements journal.Journal. It releases the intents that the opener owns.
func (j *Journal) Close() error {
	s := j.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if j.ended {
		return nil
	}
	j.ended = true
	for _, in := range s.intents {
		if in.owner == j {
			in.owner = nil
		}
	}
	return nil
}

// Kill ends the opener as SIGKILL ends a process: nothing is released, and other
// openers see a dead owner. It always returns nil.
func (j *Journal) Kill() error {
	j.store.mu.Lock()
	defer j.store.mu.Unlock()
	j.ended = true
	return nil
}

// lock locks the store for one method. If it returns an error, nothing is locked.
func (j *Journal) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.store.mu.Lock()
	if j.ended {
		j.store.mu.Unlock()
		return errEnded
	}
	return nil
}

// ownership returns who owns an intent, as this opener sees it.
func (j *Journal) ownership(in *intent) journal.Ownership {
	switch {
	case in.owner == nil:
		return journal.Unowned
	case in.owner == j:
		return journal.OwnedBySelf
	case in.owner.ended:
		return journal.OwnedByDead
	}
	return journal.OwnedByLive
}

// view returns a copy of an intent's record for a caller, who may modify it.
func (j *Journal) view(in *intent) *journal.Record {
	r := cloneRecord(in.record)
	r.Owner = j.ownership(in)
	return r
}

// cloneRecord returns a copy that shares no memory with r.
func cloneRecord(r *journal.Record) *journal.Record {
	c := *r
	c.Head, c.Payload = bytes.Clone(r.Head), bytes.Clone(r.Payload)
	c.Changes, c.Audit = slices.Clone(r.Changes), slices.Clone(r.Audit)
	for i := range c.Changes {
		c.Changes[i] = cloneChange(&r.Changes[i])
	}
	return &c
}

// cloneChange returns a copy that shares no memory with c.
func cloneChange(c *journal.Change) journal.Change {
	next := *c
	next.NewAttempts = slices.Clone(c.NewAttempts)
	if c.Reply != nil {
		reply := *c.Reply
		reply.Header, reply.Body = c.Reply.Header.Clone(), bytes.Clone(c.Reply.Body)
		next.Reply = &reply
	}
	return next
}

// NewKey implements journal.KeyMaker. A store that has no reason to choose keys does
// not implement it. Here keys are recognisable in tests.
func (j *Journal) NewKey(journal.Operation) (string, error) {
	return "mem-" + rand.Text(), nil
}
