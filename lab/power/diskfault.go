//go:build linux && cgo

package power

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/idem-go/idem/lab/vfs"
)

// diskFault is a call that fails: the nth of its kind, once, or from then on.
type diskFault struct {
	kind    vfs.Kind
	fate    vfs.Fate
	nth     int
	forEver bool
}

// String says all of it in a few words.
func (f diskFault) String() string {
	kinds := map[vfs.Kind]string{vfs.Create: "create", vfs.Write: "write", vfs.Truncate: "truncate", vfs.Sync: "sync", vfs.Delete: "delete", vfs.Folder: "folder sync"}
	fates := map[vfs.Fate]string{vfs.IO: "EIO", vfs.Full: "ENOSPC", vfs.Half: "ENOSPC half-way"}
	often := "once"
	if f.forEver {
		often = "for ever"
	}
	return fmt.Sprintf("%s %d fails %s with %s", kinds[f.kind], f.nth, often, fates[f.fate])
}

// fates is what the disk makes of calls.
func (f diskFault) fates() func(vfs.Call) vfs.Fate {
	var mu sync.Mutex
	calls := 0
	return func(c vfs.Call) vfs.Fate {
		if c.Kind != f.kind {
			return vfs.Pass
		}
		mu.Lock()
		defer mu.Unlock()
		calls++
		if calls == f.nth || (f.forEver && calls > f.nth) {
			return f.fate
		}
		return vfs.Pass
	}
}

// newDiskFault draws one of the calls of a run.
func newDiskFault(lots *rand.Rand, calls map[vfs.Kind]int) diskFault {
	kinds := []vfs.Kind{vfs.Sync, vfs.Sync, vfs.Sync, vfs.Sync, vfs.Write, vfs.Write, vfs.Write, vfs.Create, vfs.Truncate, vfs.Delete, vfs.Folder}
	f := diskFault{kind: vfs.Sync, fate: vfs.IO, forEver: lots.IntN(2) == 0}
	if kind := kinds[lots.IntN(len(kinds))]; calls[kind] > 0 {
		f.kind = kind
	}
	if f.kind == vfs.Write {
		f.fate = [...]vfs.Fate{vfs.IO, vfs.Full, vfs.Half}[lots.IntN(3)]
	}
	f.nth = 1 + lots.IntN(max(1, calls[f.kind]))
	return f
}

// DiskFaults has a call of the disk fail in each run, looks at what the agent is
// told, and then cuts the power: at once, or after the agent was killed and another
// one worked on. What a failed sync left behind may be lost for good, whatever is
// synced later.
func (l Lab) DiskFaults(ctx context.Context, from uint64, images int) (*Tally, error) {
	g, done, err := l.rig()
	if err != nil {
		return nil, err
	}
	g.diskFails = true
	b := newBench(g, images)
	for seed := from; err == nil && !b.enough() && ctx.Err() == nil; seed++ {
		err = b.diskFaultsOf(ctx, newPlan(seed))
	}
	return b.end(errors.Join(err, ctx.Err()), done)
}

const (
	faultyRuns  = 12   // of one plan
	faultyShare = 0.08 // of what the moments of a run may leave
)

func (b *bench) diskFaultsOf(ctx context.Context, p plan) error {
	b.next()
	lots := rand.New(rand.NewPCG(p.seed, 3))
	calls := map[vfs.Kind]int{}
	var mu sync.Mutex
	g := b.rig
	g.fate = func(c vfs.Call) vfs.Fate {
		mu.Lock()
		defer mu.Unlock()
		calls[c.Kind]++
		return vfs.Pass
	}
	if _, err := g.record(blank(), p, func(a *agent) error { return a.follow(ctx) }); err != nil {
		return fmt.Errorf("seed %d: %w", p.seed, err)
	}
	for range faultyRuns {
		f := newDiskFault(lots, calls)
		g.fate, g.faulty = f.fates(), true
		rec, err := g.record(blank(), p, func(a *agent) error { return a.follow(ctx) })
		if err != nil {
			return fmt.Errorf("seed %d, %v: %w", p.seed, f, err)
		}
		where := f.String() + ", "
		if err := b.sweep(ctx, p, rec, where, faultyShare, lots); err != nil {
			return err
		}
		w, at, err := rec.end(kill, lots)
		if err != nil {
			return err
		}
		where += fmt.Sprintf("killed at step %d of %d, ", at, len(rec.log))
		if err := b.comeBack(ctx, p, w, where, faultyShare, lots); err != nil {
			return err
		}
	}
	return nil
}
