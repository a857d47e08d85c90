//go:build linux && cgo

package power

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/idem-go/idem/lab/disk"
	"github.com/idem-go/idem/lab/vfs"
	"github.com/stretchr/testify/require"
)

// moment finds the step of a recording at which the process is killed: the last one
// before wanted, of those that want it.
type moment struct {
	name   string
	wanted func(log []entry, next int) bool // next is the step that is not made any more
}

func isSync(e entry, name string) bool { return e.op.Kind == disk.Sync && e.op.Name == name }

func happened(log []entry, kind eventKind) bool {
	for _, e := range log {
		if e.op.Kind == 0 && e.event.kind == kind {
			return true
		}
	}
	return false
}

// moments are those at which a kill, and then a power loss during the next process,
// once lost what the first one had only in the system's memory, or left files that
// did not fit together.
func moments() []moment {
	return []moment{
		{"before the first transaction is synced", func(log []entry, next int) bool {
			return isSync(log[next], logName) && !happened(log[:next], opened)
		}},
		{"before the lock file's tie is synced", func(log []entry, next int) bool {
			return isSync(log[next], ownersName) && log[next-1].op.Kind == disk.Write && log[next-1].op.Name == ownersName
		}},
		{"before an intent is synced", func(log []entry, next int) bool {
			return isSync(log[next], logName) && happened(log[:next], asked) && !happened(log[:next], begun)
		}},
		{"before an outcome is synced", func(log []entry, next int) bool {
			return isSync(log[next], logName) && happened(log[:next], effected) && !happened(log[:next], answered)
		}},
		{"while the log is copied", func(log []entry, next int) bool {
			return log[next].op.Kind == disk.Write && log[next].op.Name == journalName && happened(log[:next], answered)
		}},
	}
}

// A process is killed at a moment that once mattered; the next one works on, and the
// power is cut.
func TestRecipes(t *testing.T) {
	t.Parallel()
	require.NoError(t, vfs.Install())
	for _, m := range moments() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			b := newBench(rig{folder: t.TempDir()}, 1<<30)
			met := 0
			for seed := uint64(1); met < 2; seed++ {
				require.Less(t, seed, uint64(50), "the moment is met in some plan")
				p := newPlan(seed)
				first, err := b.rig.record(blank(), p, func(a *agent) error { return a.follow(ctx) })
				require.NoError(t, err)
				at := -1
				for next := 1; next < len(first.log); next++ {
					if m.wanted(first.log, next) {
						at = next - 1
					}
				}
				if at < 0 {
					continue
				}
				met++
				lots := rand.New(rand.NewPCG(seed, 5))
				w, err := first.at(at, kill, lots)
				require.NoError(t, err)
				require.NoError(t, b.comeBack(ctx, p, w, m.name+", ", 0.12, lots))
			}
			tally, err := b.end(nil, func() error { return nil })
			require.NoError(t, err)
			require.Empty(t, tally.Cases)
			require.Greater(t, tally.Booted, 20)
		})
	}
}
