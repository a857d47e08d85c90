package lockfile_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/lockfile"
	"github.com/idem-go/idem/internal/testkit"
)

// children are the programs that a child process of these tests can be.
type children struct{}

func TestMain(m *testing.M) { testkit.Main(m, children{}) }

// holderArgs are the arguments of Holder.
type holderArgs struct {
	Path string
	Slot int64
}

// Holder locks a slot with Wait, says "held", and unlocks it when its parent says
// "unlock", or closes the file when its parent says "close".
func (children) Holder(l *testkit.Link) error {
	var args holderArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	f, err := lockfile.Open(args.Path)
	if err != nil {
		return err
	}
	unlock, err := f.Wait(context.Background(), args.Slot, time.Hour)
	if err != nil {
		return err
	}
	l.Say("held")
	switch l.Hear() {
	case "unlock":
		unlock()
	case "close":
		err = f.Close()
	}
	l.Say("freed")
	l.Hear()
	return errors.Join(err, testkit.IgnoreClosed(f.Close()))
}

// startHolder starts a process that holds a slot of the lock file at path.
func startHolder(t testing.TB, path string, slot int64) *testkit.Process {
	t.Helper()
	p := testkit.StartChild(t, "Holder", holderArgs{path, slot})
	p.Expect("held")
	return p
}

func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "agent.db.owners") }

// open opens a lock file until the test ends.
func open(t testing.TB, path string) *lockfile.File {
	t.Helper()
	f, err := lockfile.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, testkit.IgnoreClosed(f.Close())) })
	return f
}

// requireTry requires that Try returns want.
func requireTry(t testing.TB, f *lockfile.File, slot int64, want bool) {
	t.Helper()
	ok, err := f.Try(slot)
	require.NoError(t, err)
	require.Equal(t, want, ok, "Try of slot %d", slot)
}

// requireHeld requires that Held returns want.
func requireHeld(t testing.TB, f *lockfile.File, slot int64, want bool) {
	t.Helper()
	held, err := f.Held(slot)
	require.NoError(t, err)
	require.Equal(t, want, held, "Held of slot %d", slot)
}
