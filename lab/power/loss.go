//go:build linux && cgo

package power

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/idem-go/idem/lab/disk"
)

// harm is something that is done to the files of a journal while nobody has it
// open.
type harm struct {
	name string
	do   func(image, older disk.Image, lots *rand.Rand) disk.Image
}

const logName = journalName + "-wal"

func harms() []harm {
	replace := func(image disk.Image, name string, content []byte) disk.Image {
		next := maps.Clone(image)
		if content == nil {
			delete(next, name)
		} else {
			next[name] = content
		}
		return next
	}
	flip := func(name string) func(image, older disk.Image, lots *rand.Rand) disk.Image {
		return func(image, _ disk.Image, lots *rand.Rand) disk.Image {
			content := slices.Clone(image[name])
			if len(content) == 0 {
				return image
			}
			content[lots.IntN(len(content))] ^= 1 << lots.IntN(8)
			return replace(image, name, content)
		}
	}
	return []harm{
		{"log deleted", func(image, _ disk.Image, _ *rand.Rand) disk.Image { return replace(image, logName, nil) }},
		{"log cut", func(image, _ disk.Image, lots *rand.Rand) disk.Image {
			if len(image[logName]) == 0 {
				return image
			}
			return replace(image, logName, image[logName][:lots.IntN(len(image[logName]))])
		}},
		{"log with a flipped bit", flip(logName)},
		{"an older copy put back", func(image, older disk.Image, _ *rand.Rand) disk.Image {
			return replace(replace(image, journalName, older[journalName]), logName, older[logName])
		}},
		{"journal with a flipped bit", flip(journalName)},
	}
}

// Loss is what became of journals that something was done to.
type Loss struct {
	Name     string
	Tried    int
	Harmless int    // nothing was lost
	Loud     int    // an error said so
	Silent   []Case // something was lost, and nobody was told
}

// Losses damages journals that a killed process left, each in so many ways, and
// looks whether what is lost is lost in silence.
func (l Lab) Losses(ctx context.Context, from uint64, each int) (all []Loss, err error) {
	g, done, err := l.rig()
	if err != nil {
		return nil, err
	}
	for _, h := range harms() {
		all = append(all, Loss{Name: h.name})
	}
	for seed := from; err == nil && all[len(all)-1].Tried < each && ctx.Err() == nil; seed++ {
		err = g.lossesOf(ctx, newPlan(seed), all)
	}
	return all, errors.Join(err, ctx.Err(), done())
}

func (g rig) lossesOf(ctx context.Context, p plan, all []Loss) error {
	lots := rand.New(rand.NewPCG(p.seed, 4))
	rec, err := g.record(blank(), p, func(a *agent) error { return a.follow(ctx) })
	if err != nil {
		return fmt.Errorf("seed %d: %w", p.seed, err)
	}
	for range 8 {
		older, before, err := rec.end(kill, lots)
		if err != nil {
			return err
		}
		w, at, err := rec.end(kill, lots)
		if err != nil || at < before || older.image[journalName] == nil || w.image[logName] == nil {
			continue
		}
		for i, h := range harms() {
			image := h.do(w.image, older.image, lots)
			found, err := g.boot(image, p, w.events, false)
			if err != nil {
				return err
			}
			all[i].add(Case{Seed: p.seed, Where: fmt.Sprintf("killed at step %d of %d, %s", at, len(rec.log), h.name), Found: found}, func() (string, error) {
				return g.keep(job{plan: p, image: image})
			})
		}
	}
	return nil
}

func (n *Loss) add(c Case, keep func() (string, error)) {
	n.Tried++
	silent := slices.ContainsFunc(c.Found, func(v Violation) bool { return v.Rule != Refused && v.Rule != Trouble })
	switch {
	case silent:
		c.Kept, _ = keep()
		n.Silent = append(n.Silent, c)
	case len(c.Found) > 0:
		n.Loud++
	default:
		n.Harmless++
	}
}
