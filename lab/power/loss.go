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
	name   string
	closed bool // the journal was closed; otherwise its process was killed
	do     func(image, older disk.Image, lots *rand.Rand) disk.Image
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
		{name: "log deleted", do: func(image, _ disk.Image, _ *rand.Rand) disk.Image { return replace(image, logName, nil) }},
		{name: "log cut", do: func(image, _ disk.Image, lots *rand.Rand) disk.Image {
			if len(image[logName]) == 0 {
				return image
			}
			return replace(image, logName, image[logName][:lots.IntN(len(image[logName]))])
		}},
		{name: "log with a flipped bit", do: flip(logName)},
		{name: "an older copy put back", do: func(image, older disk.Image, _ *rand.Rand) disk.Image {
			return replace(replace(image, journalName, older[journalName]), logName, older[logName])
		}},
		{name: "journal with a flipped bit", closed: true, do: flip(journalName)},
	}
}

// Loss is what became of journals that something was done to.
type Loss struct {
	Name     string
	Tried    int
	Harmless int    // nothing was lost
	Loud     int    // an error said so
	Silent   []Case // something was lost, and nobody was told
	Known    []Case // likewise, where that is known: see beyond
}

// beyond tells whether harm is beyond what the library notices. It notices that the
// last row of each owner is missing, and a row that does not fit its checksum. It
// does not notice a log that was damaged after the process died in the midst of
// copying it into the journal, where the last row may have been copied and others
// not; nor a bit of SQLite's own, in an index or in the tree of a table.
func (h harm) beyond(w world) bool { return h.closed || w.disk.Syncing(journalName) }

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
	closed, err := rec.at(len(rec.log)-1, kill, lots)
	if err != nil {
		return err
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
			moment := w
			if h.closed {
				moment = closed
			}
			image := h.do(moment.image, older.image, lots)
			found, err := g.boot(image, p, moment.events, false)
			if err != nil {
				return err
			}
			all[i].add(Case{Seed: p.seed, Where: fmt.Sprintf("killed at step %d of %d, %s", at, len(rec.log), h.name), Found: found}, func() (string, error) {
				return g.keep(job{plan: p, image: image, events: moment.events, where: h.name})
			}, h.beyond(moment))
		}
	}
	return nil
}

// inSilence tells whether something was lost that no error told of. What happened
// twice, or was told wrong, no error makes good.
func inSilence(found []Violation) bool {
	missing, told := false, false
	for _, v := range found {
		switch v.Rule {
		case Duplicated, WronglyFailed, WrongAnswer:
			return true
		case Lost, Orphaned:
			missing = true
		default:
			told = true
		}
	}
	return missing && !told
}

func (n *Loss) add(c Case, keep func() (string, error), beyond bool) {
	n.Tried++
	switch {
	case inSilence(c.Found):
		c.Kept, _ = keep()
		if beyond {
			n.Known = append(n.Known, c)
			return
		}
		n.Silent = append(n.Silent, c)
	case len(c.Found) > 0:
		n.Loud++
	default:
		n.Harmless++
	}
}
