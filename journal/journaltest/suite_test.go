package journaltest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/journal"
	"github.com/idem-go/idem/journal/journaltest"
)

// journalEnv makes this binary the other opener of the journal that it names.
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

// otherSQLite opens a journal in a process of its own.
func otherSQLite(t *testing.T, path string) (idem.Journal, func() error, error) {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), journalEnv+"="+path)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	kill := func() error {
		err := cmd.Process.Kill()
		if cmd.Wait() == nil {
			return errors.New("it ended by itself")
		}
		return err
	}
	t.Cleanup(func() {
		_ = in.Close() // it ends by that, unless it was killed
		if cmd.ProcessState == nil {
			_ = cmd.Wait()
		}
	})
	return journaltest.Pipe(out, in), kill, nil
}

// heard is a TB that keeps what it is told.
type heard struct {
	testing.TB
	fatal strings.Builder
}

func (*heard) Helper()             {}
func (*heard) Cleanup(func())      {}
func (*heard) Logf(string, ...any) {}
func (h *heard) Fatalf(format string, args ...any) {
	fmt.Fprintf(&h.fatal, format+"\n", args...)
}

// broken is a journal that does one thing wrong.
type broken struct {
	idem.Journal
	begin  func(r *journal.Record, g *journal.Checks)
	change func(c *journal.Change)
	get    func(r *journal.Record)
	prune  func(outcomes *time.Time)
	lose   bool
}

func (b *broken) Begin(ctx context.Context, r *journal.Record, g journal.Checks) (journal.Conflict, *journal.Record, error) {
	if b.begin != nil {
		copied := *r
		r = &copied
		b.begin(r, &g)
	}
	return b.Journal.Begin(ctx, r, g)
}

func (b *broken) Change(ctx context.Context, c *journal.Change) (*journal.Record, bool, error) {
	if b.lose && c.Kind == journal.Released {
		return nil, true, nil
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

// TestJournalSuiteFindsWhatIsBroken: each of these journals does one thing wrong,
// and the suite says which; with nothing wrong it says nothing.
func TestJournalSuiteFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		breaks broken
		found  string
	}{
		"nothing": {broken{}, ""},
		"an ID is cut": {broken{begin: func(r *journal.Record, _ *journal.Checks) {
			r.Operation.ID = r.Operation.ID[:min(5, len(r.Operation.ID))]
		}}, "Begin keeps"},
		"no guards":         {broken{begin: func(_ *journal.Record, g *journal.Checks) { *g = journal.Checks{} }}, "Duplicate window"},
		"no aliases":        {broken{begin: func(_ *journal.Record, g *journal.Checks) { g.Alias = false }}, "Aliases"},
		"a stale link":      {broken{begin: func(r *journal.Record, _ *journal.Checks) { r.Previous = "" }}, "Begin adds"},
		"no versions":       {broken{change: func(c *journal.Change) { c.Version = max(1, c.Version-1) }}, "Change checks"},
		"an outcome is cut": {broken{change: cutOutcome}, "Outcomes"},
		"the owner is mine": {broken{get: func(r *journal.Record) { r.Owner = journal.OwnedBySelf }}, "Ownership"},
		"the dead live": {broken{get: func(r *journal.Record) {
			if r.Owner == journal.OwnedByDead {
				r.Owner = journal.OwnedByLive
			}
		}}, "Dead owner"},
		"a row is lost":     {broken{lose: true}, "Change checks"},
		"pruning too early": {broken{prune: func(at *time.Time) { *at = at.AddDate(1, 0, 0) }}, "Prune"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			h := &heard{}
			journaltest.Run(h,
				func(store string) (idem.Journal, error) {
					j, err := idem.OpenJournal(filepath.Join(folder, store))
					b := c.breaks
					b.Journal = j
					return &b, err
				},
				func(store string) (idem.Journal, func() error, error) {
					return otherSQLite(t, filepath.Join(folder, store))
				})
			if c.found == "" {
				require.Empty(t, h.fatal.String())
			} else {
				require.Contains(t, h.fatal.String(), c.found)
			}
		})
	}
}

func cutOutcome(c *journal.Change) {
	if c.Reply != nil && len(c.Reply.Body) > 0 {
		short := *c.Reply
		short.Body, short.Size = short.Body[1:], short.Size-1
		c.Reply = &short
	}
}

// A journal of one's own is tested like this.
func ExampleRun() {
	open := func(store string) (idem.Journal, error) {
		return idem.OpenJournal(filepath.Join(os.TempDir(), store)) // in place of one's own
	}
	other := func(store string) (j idem.Journal, kill func() error, err error) {
		// Another opener of the same store: for many stores that is another
		// connection, whose end is kill.
		return nil, nil, errors.New("see Pipe for one in another process")
	}
	test := func(t *testing.T) { journaltest.Run(t, open, other) }
	_ = test // TestJournal of one's own package
}
