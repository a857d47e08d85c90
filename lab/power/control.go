//go:build linux && cgo

package power

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/journal"
	"github.com/idem-go/idem/lab/vfs"
)

// A control is a library that is broken in one way. A suite that does not catch it
// proves nothing.
type control struct {
	name  string
	rig   func(*rig)
	kills bool // it shows only after a kill
	rules []Rule
}

func controls() []control {
	return []control{
		{
			// Exactly what synchronous=NORMAL leaves out: a commit does not sync the log.
			name:  "synchronous=NORMAL",
			rig:   func(g *rig) { g.fate = noCommitSync },
			rules: []Rule{Lost, Orphaned, Duplicated},
		}, {
			name:  "journal after send",
			rig:   func(g *rig) { g.open = opening(newLate) },
			rules: []Rule{Lost, Orphaned},
		}, {
			// There are two guards: Open syncs the log before it reads it, and a
			// take-over writes before it sends. Either alone is enough.
			name:  "take-over without writing",
			rig:   func(g *rig) { g.open, g.trusts = opening(newSilent), true },
			kills: true,
			rules: []Rule{Lost, Orphaned},
		}, {
			name:  "a new key at each attempt",
			rig:   func(g *rig) { g.far = func(s *farSide) { s.rekeyed = true } },
			rules: []Rule{Duplicated, Orphaned, Lost},
		}, {
			name:  "a far side that ignores keys",
			rig:   func(g *rig) { g.far = func(s *farSide) { s.forgetful = true } },
			rules: []Rule{Duplicated},
		},
	}
}

// Control is how a negative control came out.
type Control struct {
	Name   string
	Caught bool
	Tally  *Tally
}

// Controls runs every negative control until it is caught, or until so many images
// were booted.
func (l Lab) Controls(ctx context.Context, from uint64, images int) (all []Control, err error) {
	for _, c := range controls() {
		tally, err := l.control(ctx, c, from, images)
		if err != nil {
			return all, fmt.Errorf("%s: %w", c.name, err)
		}
		all = append(all, Control{Name: c.name, Caught: tally.broke(c.rules), Tally: tally})
	}
	return all, nil
}

const controlShare = 0.1 // of the moments of a run: many seeds show more than many moments

func (l Lab) control(ctx context.Context, c control, from uint64, images int) (*Tally, error) {
	l.Kept = "" // what a control leaves is of no use
	g, done, err := l.rig()
	if err != nil {
		return nil, err
	}
	c.rig(&g)
	b := newBench(g, images)
	for seed := from; err == nil && !b.enough() && !b.tally.broke(c.rules) && ctx.Err() == nil; seed++ {
		if c.kills {
			err = b.secondOf(ctx, newPlan(seed), killAtSync, 4*secondRuns, controlShare)
		} else {
			err = b.imagesOf(ctx, newPlan(seed), controlShare)
		}
	}
	return b.end(errors.Join(err, ctx.Err()), done)
}

// broke tells whether one of these rules was broken.
func (t *Tally) broke(rules []Rule) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range rules {
		if t.Broken[r] > 0 {
			return true
		}
	}
	return false
}

func noCommitSync(c vfs.Call) vfs.Fate {
	if c.Kind == vfs.Sync && strings.HasSuffix(c.Name, "-wal") {
		return vfs.Ignore
	}
	return vfs.Pass
}

// opening opens the journal with something broken before it.
func opening(breaks func(idem.Journal) idem.Journal) func(string, ...idem.Option) (*idem.Client, error) {
	return func(path string, opts ...idem.Option) (*idem.Client, error) {
		j, err := idem.OpenJournal(path)
		if err != nil {
			return nil, err
		}
		c, err := idem.New(breaks(j), opts...)
		if err != nil {
			return nil, errors.Join(err, j.Close())
		}
		return c, nil
	}
}

// late writes an intent only when something became of it.
type late struct {
	idem.Journal
	mu   sync.Mutex
	held map[string]*journal.Record
}

func newLate(j idem.Journal) idem.Journal {
	return &late{Journal: j, held: map[string]*journal.Record{}}
}

func (l *late) Begin(ctx context.Context, r *journal.Record, g journal.Checks) (journal.Conflict, *journal.Record, error) {
	there, _, err := l.Page(ctx, idem.Filter{Operation: r.Operation.Name, ID: r.Operation.ID}, "", 1)
	if err != nil || len(there) > 0 {
		if err == nil {
			return l.Journal.Begin(ctx, r, g)
		}
		return journal.NoConflict, nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[r.Key] = r
	return journal.NoConflict, nil, nil
}

func (l *late) Change(ctx context.Context, c *journal.Change) (journal.Conflict, *journal.Record, error) {
	l.mu.Lock()
	r := l.held[c.Key]
	delete(l.held, c.Key)
	l.mu.Unlock()
	if r != nil {
		if _, _, err := l.Journal.Begin(ctx, r, journal.Checks{}); err != nil {
			return journal.NoConflict, nil, err
		}
	}
	return l.Journal.Change(ctx, c)
}

// silent says that a claim was written, and does not write it.
type silent struct {
	idem.Journal
	mu      sync.Mutex
	skipped map[string]int
}

func newSilent(j idem.Journal) idem.Journal {
	return &silent{Journal: j, skipped: map[string]int{}}
}

func (s *silent) Get(ctx context.Context, key string) (*journal.Record, error) {
	s.mu.Lock()
	delete(s.skipped, key)
	s.mu.Unlock()
	return s.Journal.Get(ctx, key)
}

func (s *silent) Change(ctx context.Context, c *journal.Change) (journal.Conflict, *journal.Record, error) {
	s.mu.Lock()
	if c.Kind == journal.Claimed {
		s.skipped[c.Key]++
		s.mu.Unlock()
		return journal.NoConflict, nil, nil
	}
	next := *c
	next.Version -= s.skipped[c.Key]
	s.mu.Unlock()
	return s.Journal.Change(ctx, &next)
}
