package disk

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Mode is how a power loss treats what is not durable.
type Mode uint8

// The seven modes of damage. Prefix and those after it draw lots.
const (
	Drop         Mode = iota // nothing of it is there
	Keep                     // all of it is there: also what the next process sees after a kill
	Prefix                   // all up to some operation, nothing after it
	Subset                   // some operations, in whatever order the disk took them
	Torn                     // some sectors of each write
	ZeroExtended             // files have their new sizes, and zeros where the bytes did not arrive
	Garbage                  // sectors that did not arrive hold anything
	Modes                    // how many there are
)

// String names the mode as tables do.
func (m Mode) String() string {
	names := [...]string{"drop", "keep", "prefix", "subset", "torn", "zeros", "garbage"}
	if int(m) < len(names) {
		return names[m]
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// Random tells whether two images of one state may differ.
func (m Mode) Random() bool { return m >= Prefix }

const sector = 512

// Decided tells whether a power loss now leaves one image only, whatever its mode.
func (d *Disk) Decided() bool { return !d.undecided() }

// Image is what the folder may hold if the power is cut now.
func (d *Disk) Image(m Mode, lots *rand.Rand) Image {
	p := damage{mode: m, lots: lots}
	if m.Random() {
		p.chance = [...]float64{0.1, 0.5, 0.9}[lots.IntN(3)]
		p.last = d.cut(lots)
	}
	names := make(map[string]*file, len(d.durable))
	for name, f := range d.durable {
		names[name] = f
	}
	for _, n := range d.names {
		if p.keeps(n.step) {
			n.do(names)
		}
	}
	image := make(Image, len(names))
	for _, name := range sorted(names) { // in one order, so that a seed repeats
		image[name] = p.content(names[name])
	}
	return image
}

// cut draws the operation that Prefix ends with.
func (d *Disk) cut(lots *rand.Rand) int {
	var steps []int
	for _, n := range d.names {
		steps = append(steps, n.step)
	}
	for _, f := range d.files() {
		for _, c := range f.changes {
			if !c.synced {
				steps = append(steps, c.step)
			}
		}
	}
	if len(steps) == 0 {
		return 0
	}
	slices.Sort(steps)
	return steps[lots.IntN(len(steps))]
}

// files are all that have a name, seen or durable, in one order.
func (d *Disk) files() (all []*file) {
	for _, names := range []map[string]*file{d.seen, d.durable} {
		for _, name := range sorted(names) {
			if !slices.Contains(all, names[name]) {
				all = append(all, names[name])
			}
		}
	}
	return all
}

func sorted(names map[string]*file) []string {
	all := make([]string, 0, len(names))
	for name := range names {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// damage is one power loss.
type damage struct {
	mode   Mode
	lots   *rand.Rand
	chance float64 // of an operation, or of a sector, to be there
	last   int     // Prefix: the last operation that is there
}

// keeps draws whether an operation is there.
func (p damage) keeps(step int) bool {
	switch p.mode {
	case Drop:
		return false
	case Keep:
		return true
	case Prefix:
		return step <= p.last
	}
	return p.lots.Float64() < p.chance
}

// content is what is left of a file.
func (p damage) content(f *file) []byte {
	if len(f.changes) == 0 {
		return f.base
	}
	b := slices.Clone(f.base)
	for _, c := range f.changes {
		switch {
		case c.synced:
			b = c.apply(b)
		case c.data == nil || p.mode < Torn:
			if p.keeps(c.step) {
				b = c.apply(b)
			}
		default:
			b = p.sectors(b, c)
		}
	}
	return b
}

// sectors is a write of which some sectors arrived.
func (p damage) sectors(b []byte, c change) []byte {
	end := c.at + int64(len(c.data))
	if p.mode == ZeroExtended && end > int64(len(b)) {
		b = resize(b, end)
	}
	for at := c.at; at < end; {
		next := min(end, (at/sector+1)*sector)
		part := change{at: at, data: c.data[at-c.at : next-c.at]}
		switch {
		case p.keeps(0):
			b = part.apply(b)
		case p.mode == Garbage && p.lots.IntN(2) == 0:
			part.data = p.noise(len(part.data))
			b = part.apply(b)
		}
		at = next
	}
	return b
}

func (p damage) noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(p.lots.Uint32())
	}
	return b
}
