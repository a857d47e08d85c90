// Package sim runs agents, their clock and the far side in simulated time: days go
// by in milliseconds, agents crash and start again, and a seed says how it all goes.
package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/journal"
)

// store is a journal in memory that many openers share, each of which can die. It
// does what any journal must: the conformance suite says so.
type store struct {
	mu       sync.Mutex
	intents  []*entry // oldest first; nil: pruned
	values   map[string][]byte
	counters []journal.Counter
	aliases  map[identity]aliased
	pruned   map[string]int64 // by operation
}

type entry struct {
	record *journal.Record
	owner  *opener
	since  time.Time // from when it counts for guards
}

// aliased is an alias of an intent, made when after was the newest of its own identity.
type aliased struct {
	of    int
	after *entry
}

type identity struct {
	scope, name, id string
	repeat          int
}

func identityOf(op idem.Operation) identity {
	return identity{op.Scope, op.Name, op.ID, op.Repeat}
}

func newStore() *store {
	return &store{values: map[string][]byte{}, aliases: map[identity]aliased{}, pruned: map[string]int64{}}
}

// opener is one opener of a store: an idem.Journal.
type opener struct {
	s    *store
	dead bool // guarded by s.mu: killed, or closed
}

var errDead = errors.New("this process is dead")

func (s *store) open() *opener { return &opener{s: s} }

// kill ends the opener as SIGKILL would.
func (o *opener) kill() error {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	o.dead = true
	return nil
}

// enter locks the store. Where it returns an error, nothing is locked.
func (o *opener) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o.s.mu.Lock()
	if o.dead {
		o.s.mu.Unlock()
		return errDead
	}
	return nil
}

// seen is a record as this opener sees it: a copy that shares nothing.
func (o *opener) seen(e *entry) *journal.Record {
	r := *e.record
	r.Head, r.Payload = bytes.Clone(r.Head), bytes.Clone(r.Payload)
	r.Changes, r.Audit = slices.Clone(r.Changes), slices.Clone(r.Audit)
	for i := range r.Changes {
		r.Changes[i] = cloneChange(&r.Changes[i])
	}
	switch {
	case e.owner == nil:
		r.Owner = journal.Unowned
	case e.owner == o:
		r.Owner = journal.OwnedBySelf
	case e.owner.dead:
		r.Owner = journal.OwnedByDead
	default:
		r.Owner = journal.OwnedByLive
	}
	return &r
}

func cloneChange(c *journal.Change) journal.Change {
	next := *c
	next.NewAttempts = slices.Clone(c.NewAttempts)
	if c.Reply != nil {
		reply := *c.Reply
		reply.Header, reply.Body = reply.Header.Clone(), bytes.Clone(reply.Body)
		next.Reply = &reply
	}
	return next
}

func (s *store) find(key string) *entry {
	for _, e := range s.intents {
		if e != nil && e.record.Key == key {
			return e
		}
	}
	return nil
}

// Begin implements idem.Journal.
func (o *opener) Begin(ctx context.Context, r *journal.Record, g journal.Checks) (journal.Conflict, *journal.Record, error) {
	if err := o.enter(ctx); err != nil {
		return 0, nil, err
	}
	s := o.s
	defer s.mu.Unlock()
	if obstacle, e := s.obstacle(r, g); obstacle != journal.NoConflict {
		if e == nil {
			return obstacle, nil, nil
		}
		return obstacle, o.seen(e), nil
	}
	if s.find(r.Key) != nil {
		return 0, nil, fmt.Errorf("the key %s is another intent's already", r.Key)
	}
	e := &entry{record: r, owner: o, since: r.CreatedAt}
	e.record = o.seen(e)
	e.record.Changes, e.record.Audit = nil, nil
	s.intents = append(s.intents, e)
	return journal.NoConflict, nil, nil
}

func (s *store) obstacle(r *journal.Record, g journal.Checks) (journal.Conflict, *entry) {
	id := identityOf(r.Operation)
	if id.id != "" {
		newest := s.newest(r.Operation)
		if first, ok := s.aliases[id]; ok && first.after == newest && r.Previous == "" {
			return journal.ConflictDuplicate, s.intents[first.of]
		}
		if newest != nil && (newest.record.Key != r.Previous || !asRead(newest.record, g)) {
			st := newest.record.Summary()
			transient := st.Failure == journal.FailedNotSent || st.Failure == journal.FailedTransient
			if g.Limit != (idem.Limit{}) && st.State == idem.Failed && transient && s.over(r, g) {
				return journal.ConflictLimit, nil
			}
			return journal.ConflictIdentity, newest
		}
	}
	return s.guard(r, g)
}

// asRead reports whether an intent may still be succeeded by the one that is begun.
func asRead(r *journal.Record, g journal.Checks) bool {
	if g.PreviousVersion != 0 {
		return r.Summary().Version == g.PreviousVersion
	}
	return r.Summary().State == idem.Failed
}

// newest returns the newest intent of an identity; nil: there is none.
func (s *store) newest(op idem.Operation) (newest *entry) {
	for _, e := range s.intents {
		if e != nil && e.record.Operation.SameIdentity(op) {
			newest = e
		}
	}
	return newest
}

// guard looks for duplicates of r, and whether its budget has room.
func (s *store) guard(r *journal.Record, g journal.Checks) (journal.Conflict, *entry) {
	if !g.DuplicatesSince.IsZero() {
		for i, e := range s.intents {
			if e != nil && counts(e, r) && e.record.Operation.Repeat == 0 && r.Operation.Repeat == 0 &&
				e.record.Fingerprint == r.Fingerprint && !e.since.Before(g.DuplicatesSince) {
				if g.Alias && r.Operation.ID != "" {
					s.aliases[identityOf(r.Operation)] = aliased{i, s.newest(r.Operation)}
				}
				return journal.ConflictDuplicate, e
			}
		}
	}
	if g.Limit != (idem.Limit{}) && s.over(r, g) {
		return journal.ConflictLimit, nil
	}
	return journal.NoConflict, nil
}

// counts reports whether another intent than r counts in the guards of r.
func counts(e *entry, r *journal.Record) bool {
	return e.record.Key != r.Key && e.record.Operation.Scope == r.Operation.Scope && e.record.Operation.Name == r.Operation.Name &&
		e.record.Summary().State != idem.Failed
}

func (s *store) over(r *journal.Record, g journal.Checks) bool {
	n, cost := 1, r.Operation.Cost
	for _, e := range s.intents {
		if e != nil && counts(e, r) && !e.since.Before(g.LimitSince) {
			n++
			if cost += e.record.Operation.Cost; cost < 0 {
				cost = math.MaxInt64
			}
		}
	}
	return (g.Limit.Intents > 0 && n > g.Limit.Intents) || (g.Limit.Cost > 0 && cost > g.Limit.Cost)
}

// claim returns what stands in the way of a claim of e. An intent that it makes count
// anew does so from then on.
func (s *store) claim(e *entry, c *journal.Change) (journal.Conflict, *entry) {
	r, st := e.record, e.record.Summary()
	if r.Operation.ID != "" {
		if newest := s.newest(r.Operation); newest != e {
			return journal.ConflictIdentity, newest
		}
	}
	unsent := st.State == idem.Pending && e.owner == nil && !st.MayHaveExecuted && st.FirstSent.IsZero()
	if st.State != idem.Failed && !unsent {
		return journal.NoConflict, nil
	}
	conflict, other := s.guard(r, c.Checks)
	if conflict == journal.NoConflict {
		e.since = c.At
	}
	return conflict, other
}

// Change implements idem.Journal.
func (o *opener) Change(ctx context.Context, c *journal.Change) (journal.Conflict, *journal.Record, error) {
	if err := o.enter(ctx); err != nil {
		return 0, nil, err
	}
	defer o.s.mu.Unlock()
	e := o.s.find(c.Key)
	if e == nil {
		return journal.ConflictVersion, nil, nil
	}
	st := e.record.Summary()
	late := c.Kind == journal.Settled && c.State == idem.Succeeded && c.Version <= st.Version
	final := st.State == idem.Succeeded || st.State == idem.Failed
	alive := e.owner != nil && e.owner != o && !e.owner.dead
	again := st.State == idem.Failed && (c.Kind == journal.Claimed || c.Kind == journal.Resolved && c.State == idem.Failed)
	if (c.Version != st.Version+1 && !late) || (final && !again) ||
		(alive && (c.Kind != journal.Settled || c.State != idem.Succeeded)) {
		return journal.ConflictVersion, o.seen(e), nil
	}
	if c.Kind == journal.Claimed {
		switch conflict, other := o.s.claim(e, c); {
		case other != nil:
			return conflict, o.seen(other), nil
		case conflict != journal.NoConflict:
			return conflict, nil, nil
		}
	}
	next := cloneChange(c)
	next.Version = st.Version + 1
	e.record.Changes = append(e.record.Changes, next)
	e.owner = nil
	if c.Kind == journal.Claimed || c.Kind == journal.AttemptStarted {
		e.owner = o
	}
	return journal.NoConflict, nil, nil
}

// Get implements idem.Journal.
func (o *opener) Get(ctx context.Context, key string) (*journal.Record, error) {
	if err := o.enter(ctx); err != nil {
		return nil, err
	}
	defer o.s.mu.Unlock()
	if e := o.s.find(key); e != nil {
		return o.seen(e), nil
	}
	return nil, nil
}

// Page implements idem.Journal. The cursor is how many intents were looked at.
func (o *opener) Page(ctx context.Context, f idem.Filter, after string, limit int) (page []*journal.Record, next string, err error) {
	if err := o.enter(ctx); err != nil {
		return nil, "", err
	}
	defer o.s.mu.Unlock()
	at := 0
	if after != "" {
		if at, err = strconv.Atoi(after); err != nil {
			return nil, "", err
		}
	}
	for ; at < len(o.s.intents); at++ {
		if len(page) == limit {
			return page, strconv.Itoa(at), nil
		}
		if e := o.s.intents[at]; e != nil && f.Match(e.record) {
			page = append(page, o.seen(e))
		}
	}
	return page, "", nil
}

// Log implements idem.Journal.
func (o *opener) Audit(ctx context.Context, n journal.AuditEntry) error {
	if err := o.enter(ctx); err != nil {
		return err
	}
	defer o.s.mu.Unlock()
	if e := o.s.find(n.Key); e != nil {
		e.record.Audit = append(e.record.Audit, n)
	}
	return nil
}

// Value implements idem.Journal.
func (o *opener) Value(ctx context.Context, name string, update func([]byte) ([]byte, error)) ([]byte, error) {
	if err := o.enter(ctx); err != nil {
		return nil, err
	}
	defer o.s.mu.Unlock()
	old := bytes.Clone(o.s.values[name])
	if update == nil {
		return old, nil
	}
	value, err := update(old)
	if err == nil && value != nil {
		o.s.values[name] = bytes.Clone(value)
	}
	return value, err
}

// Count implements idem.Journal.
func (o *opener) Count(ctx context.Context, counts []journal.Counter) error {
	if err := o.enter(ctx); err != nil {
		return err
	}
	defer o.s.mu.Unlock()
	o.s.counters = append(o.s.counters, counts...)
	return nil
}

// Stats implements idem.Journal.
func (o *opener) Stats(ctx context.Context) (idem.Stats, error) {
	all := idem.Stats{ByReason: map[string]int64{}, Operations: map[string]idem.Stats{}}
	if err := o.enter(ctx); err != nil {
		return all, err
	}
	defer o.s.mu.Unlock()
	change := func(name string, do func(st *idem.Stats)) {
		st, ok := all.Operations[name]
		if !ok {
			st.ByReason = map[string]int64{}
		}
		do(&st)
		all.Operations[name] = st
		do(&all)
	}
	for _, name := range slices.Sorted(maps.Keys(o.s.pruned)) {
		change(name, func(st *idem.Stats) { st.Intents += o.s.pruned[name] })
	}
	for _, e := range o.s.intents {
		if e == nil {
			continue
		}
		change(e.record.Operation.Name, func(st *idem.Stats) {
			st.Intents++
			switch e.record.Summary().State {
			case idem.Pending:
				st.Pending++
			case idem.InDoubt:
				st.InDoubt++
			default:
				return
			}
			if st.Oldest.IsZero() || e.record.CreatedAt.Before(st.Oldest) {
				st.Oldest = e.record.CreatedAt
			}
		})
	}
	for _, n := range o.s.counters {
		change(n.Operation, func(st *idem.Stats) {
			st.ByReason[n.Reason] += n.Count
			if journal.PreventsDuplicate(n.Reason) {
				st.DuplicatesPrevented += n.Count
				st.CostPrevented += n.Cost
			}
		})
	}
	return all, nil
}

// Prune implements idem.Journal.
func (o *opener) Prune(ctx context.Context, outcomes, identities time.Time) (n int, err error) {
	if err := o.enter(ctx); err != nil {
		return 0, err
	}
	defer o.s.mu.Unlock()
	for i, e := range o.s.intents {
		if e == nil || len(e.record.Changes) == 0 {
			continue
		}
		r := e.record
		st, settled := r.Summary(), r.Changes[len(r.Changes)-1].At
		switch {
		case st.State != idem.Succeeded && st.State != idem.Failed, !settled.Before(outcomes):
		case settled.Before(identities):
			o.s.intents[i] = nil
			maps.DeleteFunc(o.s.aliases, func(_ identity, a aliased) bool { return a.of == i })
			o.s.pruned[r.Operation.Name]++
			n++
		case r.PrunedAt.IsZero():
			r.PrunedAt, r.Payload, r.Head, r.Audit = settled, nil, nil, nil
			for k := range r.Changes {
				r.Changes[k].Reply, r.Changes[k].NewAttempts = nil, nil
			}
			n++
		}
	}
	return n, nil
}

// Close implements idem.Journal.
func (o *opener) Close() error { return o.kill() }
