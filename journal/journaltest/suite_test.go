package journaltest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/journal"
	"github.com/idem-go/idem/journal/journaltest"
)

// journalEnv makes this binary the other opener of the journal at its path.
const journalEnv = "JOURNALTEST_PATH"

func init() {
	path := os.Getenv(journalEnv)
	if path == "" {
		return
	}
	j, err := idem.OpenJournal(path)
	if err == nil {
		err = errors.Join(journaltest.Serve(j, os.Stdin, os.Stdout), j.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// openChild opens a journal in a process of its own.
func openChild(t *testing.T, path string) (journal.Journal, func() error, error) {
	out, in, kill, err := testkit.Piped(t, journalEnv+"="+path)
	if err != nil {
		return nil, nil, err
	}
	return journaltest.Pipe(out, in), kill, nil
}

// newStore returns a store on SQLite. wrap gets each journal of this process.
func newStore(t *testing.T, wrap func(journal.Journal) journal.Journal) journaltest.Store {
	path := filepath.Join(t.TempDir(), "journal.db")
	return journaltest.Store{
		Open: func() (journal.Journal, error) {
			j, err := idem.OpenJournal(path)
			if err != nil {
				return nil, err
			}
			return wrap(j), nil
		},
		OpenOther: func() (journal.Journal, func() error, error) { return openChild(t, path) },
	}
}

// broken is a journal with one fault.
type broken struct {
	journal.Journal
	begin  func(r *journal.Record, g *journal.Checks)
	change func(c *journal.Change)
	get    func(r *journal.Record)
	prune  func(outcomes *time.Time)
	lose   bool // changes that release
}

func (b *broken) Begin(ctx context.Context, r *journal.Record, g journal.Checks) (journal.Conflict, *journal.Record, error) {
	if b.begin != nil {
		copied := *r
		r = &copied
		b.begin(r, &g)
	}
	return b.Journal.Begin(ctx, r, g)
}

func (b *broken) Change(ctx context.Context, c *journal.Change) (journal.Conflict, *journal.Record, error) {
	if b.lose && c.Kind == journal.Released {
		return journal.NoConflict, nil, nil
	}
	if b.change != nil {
		copied := *c
		c = &copied
		b.change(c)
	}
	return b.Journal.Change(ctx, c)
}

func (b *broken) Get(ctx context.Context, key string) (*journal.Record, error) {
	r, err := b.Journal.Get(ctx, key)
	if r != nil && b.get != nil {
		b.get(r)
	}
	return r, err
}

func (b *broken) Prune(ctx context.Context, outcomes, identities time.Time) (int, error) {
	if b.prune != nil {
		b.prune(&outcomes)
	}
	return b.Journal.Prune(ctx, outcomes, identities)
}

// TestChecks_OneFault_IsFound: each of these journals has one fault, and the check of
// that name finds it.
func TestChecks_OneFault_IsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		broken broken
		check  string
		finds  string // part of the error
	}{
		"an ID is cut": {broken{begin: func(r *journal.Record, _ *journal.Checks) {
			r.Operation.ID = r.Operation.ID[:min(5, len(r.Operation.ID))]
		}}, "Begin keeps every field", "Operation of k1"},
		"no checks":         {broken{begin: func(_ *journal.Record, g *journal.Checks) { *g = journal.Checks{} }}, "Duplicate window", "want conflict 2"},
		"no aliases":        {broken{begin: func(_ *journal.Record, g *journal.Checks) { g.Alias = false }}, "Aliases", "an alias is durable"},
		"no successors":     {broken{begin: func(r *journal.Record, _ *journal.Checks) { r.Previous = "" }}, "Begin adds a successor to the newest", "want conflict 0"},
		"no versions":       {broken{change: func(c *journal.Change) { c.Version = max(1, c.Version-1) }}, "Change checks the version", "want it rejected"},
		"an outcome is cut": {broken{change: cutOutcome}, "Outcomes byte for byte", "the outcome is"},
		"the owner is mine": {broken{get: func(r *journal.Record) { r.Owner = journal.OwnedBySelf }}, "Ownership", "the owner of k1"},
		"the dead live": {broken{get: func(r *journal.Record) {
			if r.Owner == journal.OwnedByDead {
				r.Owner = journal.OwnedByLive
			}
		}}, "Dead owner", "want 3"},
		"claims check no limit":  {broken{change: func(c *journal.Change) { c.Checks.Limit = journal.Limit{} }}, "Claim within a limit", "want conflict 3"},
		"claims race":            {broken{change: func(c *journal.Change) { c.Checks = journal.Checks{} }}, "Claim concurrently", "as the budget has room for"},
		"claims check no window": {broken{change: func(c *journal.Change) { c.Checks.DuplicatesSince = time.Time{} }}, "Claim of a duplicate", "want conflict 2"},
		"claims make no alias":   {broken{change: func(c *journal.Change) { c.Checks.Alias = false }}, "Claim of a duplicate", "the alias is durable"},
		"claims are dated by Begin": {broken{change: func(c *journal.Change) {
			if c.Kind == journal.Claimed {
				c.At = c.At.Add(-30 * time.Minute)
			}
		}}, "Claim within a limit", "it counts from the claim"},
		"older intents are claimed": {broken{change: func(c *journal.Change) {
			if c.Kind == journal.Claimed && c.Key == "k1" {
				c.Key = "k2"
			}
		}}, "Claim of an older intent", "want conflict 1"},
		"a change is lost":  {broken{lose: true}, "Change checks the version", "unknown key"},
		"pruning too early": {broken{prune: func(at *time.Time) { *at = at.AddDate(1, 0, 0) }}, "Prune", "Prune number 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := journaltest.Check(c.check, newStore(t, func(j journal.Journal) journal.Journal {
				b := c.broken
				b.Journal = j
				return &b
			}))
			require.ErrorContains(t, err, c.finds)
		})
	}
}

// TestRun_SQLite_Passes: the checks find no fault where there is none, also behind a
// wrapper without the optional interfaces.
func TestRun_SQLite_Passes(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(t *testing.T) journaltest.Store {
		return newStore(t, func(j journal.Journal) journal.Journal { return &broken{Journal: j} })
	})
}

// TestCheck_StoreWithoutOpeners_Fails: a store that cannot be opened twice is not
// reported as conforming.
func TestCheck_StoreWithoutOpeners_Fails(t *testing.T) {
	t.Parallel()
	s := newStore(t, func(j journal.Journal) journal.Journal { return j })
	s.OpenOther = nil
	require.ErrorContains(t, journaltest.Check("Prune", s), "OpenOther")
}

func cutOutcome(c *journal.Change) {
	if c.Reply != nil && len(c.Reply.Body) > 0 {
		short := *c.Reply
		short.Body, short.Size = short.Body[1:], short.Size-1
		c.Reply = &short
	}
}
