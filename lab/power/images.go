//go:build linux && cgo

package power

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/idem-go/idem/lab/disk"
)

// job is one image to boot.
type job struct {
	plan     plan
	image    disk.Image
	events   []event
	mode     string
	where    string
	thorough bool
}

// bench boots images on every core and tallies what the judge found.
type bench struct {
	rig    rig
	tally  *Tally
	wanted int

	jobs chan job
	work sync.WaitGroup
	hash maphash.Seed

	mu   sync.Mutex
	seen map[uint64]bool // images that were booted already: of this seed
	sent int
	errs []error
}

func newBench(g rig, wanted int) *bench {
	b := &bench{rig: g, tally: newTally(), wanted: wanted, jobs: make(chan job), hash: maphash.MakeSeed(), seen: map[uint64]bool{}}
	for range runtime.GOMAXPROCS(0) {
		b.work.Go(b.boots)
	}
	return b
}

func (b *bench) boots() {
	for j := range b.jobs {
		found, err := b.rig.boot(j.image, j.plan, j.events, j.thorough)
		c := Case{Seed: j.plan.seed, Where: j.where, Found: found}
		if err == nil && len(found) > 0 {
			c.Kept, err = b.rig.keep(j)
		}
		if err != nil {
			b.mu.Lock()
			b.errs = append(b.errs, err)
			b.mu.Unlock()
		}
		b.tally.add(j.mode, c)
	}
}

// send boots an image, unless one like it was booted; enough tells that no more
// are wanted.
func (b *bench) send(ctx context.Context, j job) {
	if b.enough() || ctx.Err() != nil {
		return
	}
	var h maphash.Hash
	h.SetSeed(b.hash)
	for _, name := range j.image.Names() {
		h.WriteString(name)
		h.Write(j.image[name])
	}
	fmt.Fprint(&h, len(j.events))
	b.mu.Lock()
	known := b.seen[h.Sum64()]
	b.seen[h.Sum64()] = true
	if !known {
		b.sent++
	}
	b.mu.Unlock()
	if !known {
		b.jobs <- j
	}
}

func (b *bench) enough() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sent >= b.wanted
}

// next begins another seed: no image of it is like one of the seeds before.
func (b *bench) next() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.seen)
	b.tally.Runs++
}

// end waits for what is under way. err is what ended the suite before its time.
func (b *bench) end(err error, done func() error) (*Tally, error) {
	close(b.jobs)
	b.work.Wait()
	return b.tally, errors.Join(err, errors.Join(b.errs...), done())
}

// keep writes an image that broke a rule where it stays.
func (g rig) keep(j job) (string, error) {
	if g.kept == "" {
		return "", nil
	}
	folder, err := os.MkdirTemp(g.kept, fmt.Sprintf("seed-%d-", j.plan.seed))
	if err != nil {
		return "", err
	}
	for name, content := range j.image {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			return "", err
		}
	}
	return folder, keptOf(j).save(folder)
}

// moments calls look at every step of a recording, with the disk and the events as
// they were then.
func (rec recording) moments(look func(i int, d *disk.Disk, events []event) error) error {
	d := rec.from.disk.Clone()
	events := rec.from.events[:len(rec.from.events):len(rec.from.events)]
	for i, e := range rec.log {
		if e.op.Kind == 0 {
			events = append(events, e.event)
		} else if err := d.Do(e.op); err != nil {
			return err
		}
		if err := look(i, d, events[:len(events):len(events)]); err != nil {
			return err
		}
	}
	return nil
}

// sweep boots what each moment of a recording may leave: every mode at each, or a
// share of them.
func (b *bench) sweep(ctx context.Context, p plan, rec recording, where string, share float64, lots *rand.Rand) error {
	if len(rec.found) > 0 {
		b.tally.add("in the run", Case{Seed: p.seed, Where: where + "in the run", Found: rec.found})
	}
	return rec.moments(func(i int, d *disk.Disk, events []event) error {
		for m := disk.Drop; m < disk.Modes; m++ {
			if m > disk.Drop && d.Decided() {
				break
			}
			if lots.Float64() >= share {
				continue
			}
			b.send(ctx, job{
				plan: p, image: d.Image(m, lots), events: events, mode: m.String(),
				where: where + fmt.Sprintf("step %d of %d, %v", i, len(rec.log), m), thorough: lots.IntN(8) == 0,
			})
		}
		return ctx.Err()
	})
}

// Images cuts the power at every operation of runs of many seeds, until so many
// different images were booted.
func (l Lab) Images(ctx context.Context, from uint64, images int) (*Tally, error) {
	g, done, err := l.rig()
	if err != nil {
		return nil, err
	}
	b := newBench(g, images)
	for seed := from; err == nil && !b.enough() && ctx.Err() == nil; seed++ {
		err = b.imagesOf(ctx, newPlan(seed), 1)
	}
	return b.end(errors.Join(err, ctx.Err()), done)
}

// imagesOf records one run and boots what it may leave, or a share of that.
func (b *bench) imagesOf(ctx context.Context, p plan, share float64) error {
	b.next()
	rec, err := b.rig.record(blank(), p, func(a *agent) error { return a.follow(ctx) })
	if err != nil {
		return fmt.Errorf("seed %d: %w", p.seed, err)
	}
	return b.sweep(ctx, p, rec, "", share, rand.New(rand.NewPCG(p.seed, 1)))
}
