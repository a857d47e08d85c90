//go:build linux && cgo

package power

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/idem-go/idem/lab/disk"
)

// crash is how a recorded run ends.
type crash uint8

const (
	powerLoss  crash = iota // the disk holds one of its images
	kill                    // the disk is as the program saw it, and no more durable than before
	killAtSync              // the same, always just before the log is synced
)

// Recoveries cuts the power during runs, lets the agent come back on what is left,
// and cuts the power again, at every operation of that.
func (l Lab) Recoveries(ctx context.Context, from uint64, images int) (*Tally, error) {
	return l.second(ctx, from, images, powerLoss)
}

// Kills kills the agent, so that the next one sees what is not durable yet, lets
// that one work, and then cuts the power.
func (l Lab) Kills(ctx context.Context, from uint64, images int) (*Tally, error) {
	return l.second(ctx, from, images, kill)
}

func (l Lab) second(ctx context.Context, from uint64, images int, how crash) (*Tally, error) {
	g, done, err := l.rig()
	if err != nil {
		return nil, err
	}
	b := newBench(g, images)
	for seed := from; err == nil && !b.enough() && ctx.Err() == nil; seed++ {
		err = b.secondOf(ctx, newPlan(seed), how, secondRuns, secondShare)
	}
	return b.end(errors.Join(err, ctx.Err()), done)
}

const (
	secondRuns  = 6    // of one first run
	secondShare = 0.25 // of what the moments of a second run may leave
)

// secondOf records a run of a plan, ends it at random moments, lets an agent come
// back at each, and boots what a power loss during that may leave.
func (b *bench) secondOf(ctx context.Context, p plan, how crash, times int, share float64) error {
	b.next()
	lots := rand.New(rand.NewPCG(p.seed, 2))
	first, err := b.rig.record(blank(), p, func(a *agent) error { return a.follow(ctx) })
	if err != nil {
		return fmt.Errorf("seed %d: %w", p.seed, err)
	}
	for range times {
		w, at, err := first.end(how, lots)
		if err != nil {
			return err
		}
		if err := b.comeBack(ctx, p, w, fmt.Sprintf("step %d of %d, ", at, len(first.log)), share, lots); err != nil {
			return err
		}
	}
	return nil
}

// comeBack records an agent that comes back to a world, and boots what a power loss
// during that may leave.
func (b *bench) comeBack(ctx context.Context, p plan, w world, where string, share float64, lots *rand.Rand) error {
	again := p.again(w.events, lots)
	rec, err := b.rig.record(w, again, func(a *agent) error { return a.follow(ctx) })
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		b.tally.add("second run", Case{Seed: p.seed, Where: where, Found: []Violation{{Trouble, err.Error()}}})
		return nil
	}
	return b.sweep(ctx, again, rec, where, share, lots)
}

// end ends a recording at a random moment: half the kills just before a sync, when
// what the next process sees is not durable.
func (rec recording) end(how crash, lots *rand.Rand) (w world, at int, err error) {
	at = lots.IntN(len(rec.log))
	for tries := 0; how != powerLoss && tries < 64 && (tries > 0 || how == killAtSync || lots.IntN(2) == 0); tries++ {
		if next := at + 1; next < len(rec.log) && rec.log[next].op.Kind == disk.Sync &&
			(how == kill || strings.HasSuffix(rec.log[next].op.Name, "-wal")) {
			break
		}
		at = lots.IntN(len(rec.log))
	}
	w, err = rec.at(at, how, lots)
	return w, at, err
}

// at ends a recording at a certain moment.
func (rec recording) at(at int, how crash, lots *rand.Rand) (w world, err error) {
	err = rec.moments(func(i int, d *disk.Disk, events []event) error {
		if i != at {
			return nil
		}
		w = world{events: events}
		if how != powerLoss {
			w.disk = d.Clone()
			w.disk.Believe(func() bool { return lots.IntN(2) == 0 }) // as the next Open does
			w.image = w.disk.Image(disk.Keep, nil)
		} else {
			w.image = d.Image(disk.Mode(lots.IntN(int(disk.Modes))), lots)
			w.disk = disk.New(w.image)
		}
		return nil
	})
	return w, err
}

// again is what the agent does when it comes back: it may recover, and asks for
// what it had asked for, with other faults on the way.
func (p plan) again(events []event, lots *rand.Rand) plan {
	next := plan{seed: p.seed, prunes: p.prunes}
	if lots.IntN(3) > 0 { // some agents skip it
		next.steps = append(next.steps, step{verb: recoverAll})
	}
	facts := factsOf(p, events)
	for _, k := range facts.orders {
		o := k.order
		o.faults = newFaults(lots, o.op)
		next.orders = append(next.orders, o)
		if k.asked {
			next.steps = append(next.steps, step{verb: doOrder, orders: []order{o}})
		}
	}
	next.steps = append(next.steps, between(lots, next))
	return next
}
