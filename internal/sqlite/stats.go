//go:build cgo

package sqlite

import (
	"context"
	"time"

	"github.com/idem-go/idem/journal"
)

// countKey is one durable counter.
type countKey struct{ operation, reason string }

const (
	addCount     = `INSERT INTO counters (operation, reason, count, cost) VALUES (?, ?, ?, ?) ON CONFLICT (operation, reason) DO UPDATE SET count = count + excluded.count, cost = cost + excluded.cost`
	selectCounts = `SELECT operation, reason, count, cost FROM counters`
	countByName  = `SELECT operation, (SELECT count(*) FROM kindred WHERE kind = kinds.id) +
		(SELECT count(*) FROM intents WHERE id >= ` + sqlFloor + ` AND kind = kinds.id) FROM kinds`
	flushEvery = time.Second
)

// Count implements Journal: counts wait in memory, at most a second, for a
// transaction that is written anyway.
func (s *Store) Count(_ context.Context, counts []journal.Counter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range counts {
		s.addLocked(n)
	}
	return nil
}

func (s *Store) addLocked(n journal.Counter) {
	k := countKey{n.Operation, n.Reason}
	sum := s.counts[k]
	sum.Operation, sum.Reason = n.Operation, n.Reason
	sum.Count += n.Count
	sum.Cost += n.Cost
	s.counts[k] = sum
}

// takeCounts gives what waits to the transaction at hand.
func (s *Store) takeCounts(c *conn) error {
	s.mu.Lock()
	var waiting map[countKey]journal.Counter // s.counts itself is others' to write to
	if len(s.counts) > 0 {
		waiting = s.counts
		s.counts, s.taken = map[countKey]journal.Counter{}, waiting
	}
	s.mu.Unlock()
	for _, n := range waiting {
		if err := c.change(addCount, n.Operation, n.Reason, n.Count, n.Cost); err != nil {
			return err
		}
	}
	return nil
}

// written is told how a transaction that wrote something ended.
func (s *Store) written(committed bool) {
	s.countsDone(committed)
	if committed {
		s.young.committed(&s.q.conn.placing)
		s.noteWitness(s.q.conn.last)
	}
}

// countsDone forgets what was given to a transaction, or takes it back where that
// was not committed.
func (s *Store) countsDone(committed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !committed {
		for _, n := range s.taken {
			s.addLocked(n)
		}
	}
	s.taken = nil
}

func (s *Store) saveCounts(ctx context.Context) error {
	s.mu.Lock()
	waiting := len(s.counts)
	s.mu.Unlock()
	if waiting == 0 {
		return nil
	}
	return s.q.commit(ctx, func(c *conn) error {
		c.changed = true // so that what waits rides along
		return nil
	})
}

// flushCounts writes what has waited for a transaction in vain.
func (s *Store) flushCounts() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stopped.Done():
			return
		case <-tick.C:
			s.saveCounts(s.stopped) // what fails waits on, and Close says so
		}
	}
}

// Stats implements Journal.
func (s *Store) Stats(ctx context.Context) (journal.Stats, error) {
	if err := s.saveCounts(ctx); err != nil {
		return journal.Stats{}, err
	}
	stats := journal.Stats{ByReason: map[string]int64{}, Operations: map[string]journal.Stats{}}
	one := func(name string) journal.Stats {
		op, ok := stats.Operations[name]
		if !ok {
			op = journal.Stats{ByReason: map[string]int64{}}
		}
		return op
	}
	err := s.read(func(c *conn) error {
		err := c.query(countByName, func(row []value) error {
			n := intOf(row[1])
			if n == 0 { // of these terms none is left
				return nil
			}
			name := string(bytesOf(row[0]))
			op := one(name)
			op.Intents += n
			stats.Operations[name] = op
			stats.Intents += n
			return nil
		})
		if err != nil {
			return err
		}
		return c.query(selectCounts, func(row []value) error {
			name, reason := string(bytesOf(row[0])), string(bytesOf(row[1]))
			op := one(name)
			addCounted(&op, reason, intOf(row[2]), intOf(row[3]))
			stats.Operations[name] = op
			addCounted(&stats, reason, intOf(row[2]), intOf(row[3]))
			return nil
		})
	})
	if err != nil {
		return journal.Stats{}, err
	}
	for cursor := ""; ; {
		page, next, err := s.Page(ctx, journal.Filter{States: []journal.State{journal.Pending, journal.InDoubt}}, cursor, 256)
		if err != nil {
			return journal.Stats{}, err
		}
		for _, r := range page {
			op := one(r.Operation.Name)
			addOpen(&op, r)
			stats.Operations[r.Operation.Name] = op
			addOpen(&stats, r)
		}
		if cursor = next; cursor == "" {
			return stats, nil
		}
	}
}

// addCounted counts a reason. Dropped intents are counted with those that are there.
func addCounted(st *journal.Stats, reason string, n, cost int64) {
	if reason == journal.ReasonPruned {
		st.Intents += n
		return
	}
	if journal.PreventsDuplicate(reason) {
		st.DuplicatesPrevented += n
		st.CostPrevented += cost
	}
	st.ByReason[reason] += n
}

func addOpen(st *journal.Stats, r *journal.Record) {
	if r.Summary().State == journal.InDoubt {
		st.InDoubt++
	} else {
		st.Pending++
	}
	if st.Oldest.IsZero() || r.CreatedAt.Before(st.Oldest) {
		st.Oldest = r.CreatedAt
	}
}
