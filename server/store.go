package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/idem-go/idem"
)

// Store keeps keys, what they were used for, and the replies. Make one with Open,
// NewStore or SameTransaction, give it to New, and Close it after the HTTP server
// is shut down. It may be used by many middlewares and goroutines at once.
type Store struct {
	keeps    keeper
	clock    *clock
	counters counters
	callers  callers
	logger   *slog.Logger

	mu       sync.Mutex
	closed   bool
	flights  map[Identity]*flight
	retained time.Duration // the longest retention of the middlewares

	stop    context.CancelFunc
	stopped context.Context
	work    sync.WaitGroup // requests in the store, and the pruning goroutine
}

// Identity is whose key it is. Keys of two identities never meet.
type Identity struct {
	Route string // as PerRoute names it; "http" without
	Scope string // as Scope names the caller; empty with SingleTenant
	Key   string // the caller's key
}

// keeper is where a store keeps its keys.
type keeper interface {
	// begin claims c's key durably, or tells what stands there. ctx bounds the
	// claiming, exec is what the handler will run under. An error means that nothing
	// was claimed that could run: errTooManyKeys where the key would be a new one and
	// terms do not admit that.
	begin(ctx, exec context.Context, c *call, terms claimTerms) (run, *standing, error)
	// look reads again what begin found to be executed elsewhere.
	look(ctx context.Context, s *standing) (*standing, error)
	// uncertain reads a page of the uncertain keys behind a cursor; "" begins and ends.
	uncertain(ctx context.Context, cursor string) (page []Uncertain, next string, err error)
	// resolve settles an uncertain key.
	resolve(ctx context.Context, id Identity, now time.Time, r idem.Resolution) error
	// prune forgets replies that ended before replies and everything of those before keys.
	prune(ctx context.Context, replies, keys time.Time) error
	// value reads, and replaces, a small durable value.
	value(ctx context.Context, name string, update func(old []byte) ([]byte, error)) error
	// counted adds to durable counters, where there are any.
	counted(id Identity, reason string)
	// close gives up everything.
	close() error
}

// run is one claimed key, to be executed once.
type run interface {
	// under is the handler's context.
	under(u *underWay)
	// settle makes the reply durable; an error leaves the key uncertain.
	settle(ctx context.Context, r *reply, now time.Time) error
	// forget frees the key; an error means that something may have happened.
	forget(ctx context.Context, now time.Time) error
	// doubt leaves the key uncertain, or free (nil) where all was taken back.
	doubt(ctx context.Context, why string, now time.Time) *standing
}

// claimTerms is under which conditions a key is claimed.
type claimTerms struct {
	now      time.Time
	admitted bool // the caller may begin another key
	again    bool // an uncertain key is executed again
}

var errTooManyKeys = errors.New("idem/server: the caller has begun as many keys as it may")

// position is where a known key stands.
type position uint8

const (
	executed  position = iota + 1 // its reply is kept
	elsewhere                     // another process executes it
	uncertain                     // begun, and nobody knows how far it came
)

// standing is a known key.
type standing struct {
	position position
	print    print
	reply    *reply
	record   string // the record's own name in the store
}

// Open opens or makes the SQLite journal at path for a store of its own, with mode
// 0600. It may be open in many processes at once, once in each. Do not use a
// client's journal.
func Open(path string) (*Store, error) {
	j, err := idem.OpenJournal(path)
	if err != nil {
		return nil, err
	}
	s, err := NewStore(j)
	if err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return s, nil
}

// NewStore is a store on any journal, which the store's Close closes. The journal
// is the store's alone.
func NewStore(j idem.Journal) (*Store, error) {
	if j == nil {
		return nil, errors.New("idem/server: NewStore needs a Journal: it is nil")
	}
	return newStore(func(s *Store) keeper { return newJournalKeeper(j, s.clock) })
}

func newStore(keeperOf func(*Store) keeper) (*Store, error) {
	s := &Store{
		clock: newClock(), flights: map[Identity]*flight{}, logger: slog.Default(),
		callers: callers{begun: map[string]*tally{}},
	}
	s.keeps = keeperOf(s)
	s.stopped, s.stop = context.WithCancel(context.Background())
	if err := s.keeps.value(context.Background(), clockValue, s.clock.learn); err != nil {
		s.stop()
		return nil, fmt.Errorf("idem/server: reading the store's clock: %w", err)
	}
	s.work.Go(s.tidy)
	return s, nil
}

// enter keeps the store open while a request is in it.
func (s *Store) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.work.Add(1)
	return true
}

// Close waits for the executions under way, each bounded by its handler, tries
// once more to keep what could not be kept, and closes the journal. Requests that
// come meanwhile are refused with 503. It does not close a database given to
// SameTransaction. Closing again does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.work.Wait()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.work.Wait()
	err := s.saveClock(context.Background())
	return errors.Join(err, s.keeps.close())
}

const (
	retentionValue = "server retention"
	tidyEvery      = time.Minute
	pruneOften     = 24 // times within one retention, each minute at most
)

// retain makes durable that some middleware keeps keys for so long: no process may
// prune them earlier, whatever its own middlewares promise.
func (s *Store) retain(d time.Duration) error {
	longest := d
	err := s.keeps.value(context.Background(), retentionValue, func(old []byte) ([]byte, error) {
		longest = max(d, durationOf(old))
		return binary.BigEndian.AppendUint64(nil, uint64(longest)), nil
	})
	if err != nil {
		return fmt.Errorf("idem/server: the store could not keep its retention: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retained = max(s.retained, longest)
	return nil
}

func durationOf(b []byte) time.Duration {
	if len(b) != 8 {
		return 0
	}
	return time.Duration(binary.BigEndian.Uint64(b))
}

// tidy keeps the clock and prunes in the background, in steps that requests get in
// between.
func (s *Store) tidy() {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	pruned := time.Now()
	for {
		select {
		case <-s.stopped.Done():
			return
		case <-tick.C:
		}
		err := s.saveClock(s.stopped)
		s.mu.Lock()
		kept := s.retained
		s.mu.Unlock()
		if err == nil && time.Since(pruned) >= kept/pruneOften {
			err = s.Prune(s.stopped)
			pruned = time.Now()
		}
		if err != nil && s.stopped.Err() == nil {
			s.logger.Error("the store of idempotency keys could not be tidied; requests go on", "error", err)
		}
	}
}

const pruneSlice = 50 * time.Millisecond

// rest leaves the store to requests for three times as long as pruning had it.
func rest(ctx context.Context, worked time.Duration) error {
	timer := time.NewTimer(3 * worked)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Prune forgets, now, the replies of keys that have expired; their bare names are
// kept for as long again, so that a key used anew is known to be. Keys that are
// executed or uncertain stay for ever. It works in small steps and rests between
// them, so that requests are not held up. The store prunes by itself, 24 times
// within one retention.
func (s *Store) Prune(ctx context.Context) error {
	if err := s.saveClock(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	kept := s.retained
	s.mu.Unlock()
	if kept == 0 {
		return nil // no middleware yet: nobody knows how long keys are kept
	}
	// Another process may have promised more since.
	err := s.keeps.value(ctx, retentionValue, func(old []byte) ([]byte, error) {
		kept = max(kept, durationOf(old))
		return old, nil
	})
	if err != nil {
		return fmt.Errorf("idem/server: pruning: %w", err)
	}
	now := s.clock.now()
	s.callers.shed(now)
	if err := s.keeps.prune(ctx, now.Add(-kept), now.Add(-2*kept)); err != nil {
		return fmt.Errorf("idem/server: pruning: %w", err)
	}
	return nil
}

func (s *Store) saveClock(ctx context.Context) error {
	if !s.clock.unsaved() {
		return nil
	}
	if err := s.keeps.value(ctx, clockValue, s.clock.save); err != nil {
		return fmt.Errorf("idem/server: keeping the store's clock: %w", err)
	}
	return nil
}
