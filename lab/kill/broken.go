//go:build linux && cgo

package kill

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/journal"
)

// How the library is broken, for the negative controls.
const (
	newKeys     = "a new key at each attempt"
	lateJournal = "journal after send"
	silentClaim = "take-over without writing"
)

// breaking is a journal that is broken in this way; a way that is none of the
// journal's leaves it whole.
func breaking(how string, j idem.Journal) idem.Journal {
	switch how {
	case lateJournal:
		return &late{Journal: j, held: map[string]*journal.Record{}}
	case silentClaim:
		return &silent{Journal: j, skipped: map[string]int{}}
	}
	return j
}

// rekeyed puts another key on a request, where that is how it is broken.
func rekeyed(how string, req *http.Request) *http.Request {
	if how != newKeys {
		return req
	}
	req = req.Clone(req.Context())
	req.Header.Set("Idempotency-Key", rand.Text())
	return req
}

// late writes an intent only when something became of it.
type late struct {
	idem.Journal
	mu   sync.Mutex
	held map[string]*journal.Record
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
	for _, held := range l.held {
		if held.Operation == r.Operation {
			return journal.ConflictIdentity, held, nil
		}
	}
	l.held[r.Key] = r
	return journal.NoConflict, nil, nil
}

func (l *late) Get(ctx context.Context, key string) (*journal.Record, error) {
	l.mu.Lock()
	held := l.held[key]
	l.mu.Unlock()
	if held != nil {
		mine := *held
		mine.Owner = journal.OwnedBySelf
		return &mine, nil
	}
	return l.Journal.Get(ctx, key)
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

func (s *silent) Change(ctx context.Context, c *journal.Change) (journal.Conflict, *journal.Record, error) {
	s.mu.Lock()
	if c.Kind == journal.Claimed {
		s.skipped[c.Key]++
		s.mu.Unlock()
		return journal.NoConflict, nil, nil
	}
	next := *c
	next.Version -= s.skipped[c.Key]
	delete(s.skipped, c.Key)
	s.mu.Unlock()
	return s.Journal.Change(ctx, &next)
}
