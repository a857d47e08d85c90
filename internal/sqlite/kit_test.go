//go:build cgo

package sqlite_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/lockfile"
	"github.com/idem-go/idem/internal/sqlite"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// children are the programs that a child process of these tests can be.
type children struct{}

// Agent is a client that does what its parent tells it.
func (children) Agent(l *testkit.Link) error {
	return clientkit.AgentChild(l, func(clientkit.AgentArgs) []idem.Option { return nil })
}

// Slot locks a slot of a journal's lock file, and says so.
func (children) Slot(l *testkit.Link) error {
	var args heldSlot
	if err := l.Args(&args); err != nil {
		return err
	}
	f, err := lockfile.Open(args.Path + ".owners")
	if err == nil {
		_, err = f.Try(args.Slot)
	}
	if err != nil {
		return err
	}
	l.Say("held")
	l.Hear()
	return f.Close()
}

// heldSlot is what Slot holds.
type heldSlot struct {
	Path string
	Slot int64
}

// Transaction opens a journal and begins a transaction of its own that writes.
func (children) Transaction(l *testkit.Link) error {
	var path string
	if err := l.Args(&path); err != nil {
		return err
	}
	s, err := sqlite.Open(path)
	if err != nil {
		return err
	}
	release, err := s.HoldTransaction()
	if err != nil {
		return err
	}
	l.Say("held")
	l.Hear()
	release()
	return errors.Join(s.Pragma("busy_timeout = 0"), s.Close()) // behind the transaction
}

// Witness reads a journal as plain SQLite.
func (children) Witness(l *testkit.Link) error { return testkit.WitnessChild(l) }

func TestMain(m *testing.M) { testkit.Main(m, children{}) }

// openStore opens a store and a client on it. When the test ends it closes both and
// checks the journal.
func openStore(t testing.TB, path string, opts ...idem.Option) (*idem.Client, *sqlite.Store) {
	t.Helper()
	s, err := sqlite.Open(path)
	require.NoError(t, err)
	c, err := idem.New(s, opts...)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		clientkit.CheckJournal(t, path)
	})
	return c, s
}
