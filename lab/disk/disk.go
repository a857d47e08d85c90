// Package disk is a model of a disk under one folder: what was written, what of it
// is durable, and what the disk may hold after the power is cut.
//
// It assumes what SQLite assumes: an fsync that returned is honest, and a write
// that is cut off harms no byte outside of it. Nothing else is taken for granted:
// what is not synced may be there in any part, sector by sector, names included.
package disk

import (
	"fmt"
	"maps"
	"slices"
)

// Kind is what an operation does.
type Kind uint8

// The kinds of operations.
const (
	Create Kind = iota + 1
	Write
	Truncate
	Sync       // of a file: its bytes and size are durable, not its name
	SyncFailed // the bytes that were not durable may be lost whatever is synced later
	Delete
	Rename // from Name to To
	Folder // the folder is synced: the names are durable
)

// Op is one operation, as the program made it.
type Op struct {
	Kind   Kind
	Name   string
	To     string
	Offset int64
	Data   []byte
	Size   int64 // of a truncation
}

// Disk is a folder on a disk in the midst of its operations. The zero value is not
// usable: see New.
type Disk struct {
	step    int
	seen    map[string]*file // the names as programs see them
	durable map[string]*file
	names   []naming // not durable yet, oldest first
}

// file is one file, whatever it is called.
type file struct {
	base    []byte // durable, and never changed in place
	changes []change
}

// change is a write or a truncation after the base.
type change struct {
	step   int
	at     int64
	data   []byte // nil: a truncation to at
	synced bool
	lost   bool // its sync failed: no later one makes it durable
}

// naming is a change of the folder.
type naming struct {
	step     int
	from, to string // from alone: deleted; to alone: created
	file     *file
}

// Image is what a folder holds: the files' contents by name.
type Image map[string][]byte

// New is a disk that holds an image, all of it durable.
func New(image Image) *Disk {
	d := &Disk{seen: map[string]*file{}, durable: map[string]*file{}}
	for name, content := range image {
		f := &file{base: slices.Clone(content)}
		d.seen[name], d.durable[name] = f, f
	}
	return d
}

// Clone is a disk of its own in the same state.
func (d *Disk) Clone() *Disk {
	twins := map[*file]*file{}
	twin := func(f *file) *file {
		if f == nil {
			return nil
		}
		if twins[f] == nil {
			twins[f] = &file{base: f.base, changes: slices.Clone(f.changes)}
		}
		return twins[f]
	}
	c := &Disk{step: d.step, seen: map[string]*file{}, durable: map[string]*file{}, names: slices.Clone(d.names)}
	for name, f := range d.seen {
		c.seen[name] = twin(f)
	}
	for name, f := range d.durable {
		c.durable[name] = twin(f)
	}
	for i := range c.names {
		c.names[i].file = twin(c.names[i].file)
	}
	return c
}

// Do makes one operation. Its error says that the operations do not fit together:
// a file is written to that was never made.
func (d *Disk) Do(op Op) error {
	d.step++
	f := d.seen[op.Name]
	if f == nil && op.Kind != Create && op.Kind != Folder {
		return fmt.Errorf("disk: operation %d on %q, which is not there", op.Kind, op.Name)
	}
	switch op.Kind {
	case Create:
		f = &file{}
		d.seen[op.Name] = f
		d.names = append(d.names, naming{step: d.step, to: op.Name, file: f})
	case Write:
		f.changes = append(f.changes, change{step: d.step, at: op.Offset, data: op.Data})
	case Truncate:
		f.changes = append(f.changes, change{step: d.step, at: op.Size})
	case Sync:
		f.sync()
	case SyncFailed:
		for i := range f.changes {
			f.changes[i].lost = f.changes[i].lost || !f.changes[i].synced
		}
	case Delete:
		delete(d.seen, op.Name)
		d.names = append(d.names, naming{step: d.step, from: op.Name, file: f})
	case Rename:
		delete(d.seen, op.Name)
		d.seen[op.To] = f
		d.names = append(d.names, naming{step: d.step, from: op.Name, to: op.To, file: f})
	case Folder:
		for _, n := range d.names {
			n.do(d.durable)
		}
		d.names = nil
	default:
		return fmt.Errorf("disk: there is no operation %d", op.Kind)
	}
	return nil
}

func (n naming) do(names map[string]*file) {
	if n.from != "" {
		delete(names, n.from)
	}
	if n.to != "" {
		names[n.to] = n.file
	}
}

func (f *file) sync() {
	for i := range f.changes {
		f.changes[i].synced = f.changes[i].synced || !f.changes[i].lost
	}
	// What is durable and has nothing undecided before it becomes the base.
	n := 0
	for n < len(f.changes) && f.changes[n].synced {
		n++
	}
	if n == 0 {
		return
	}
	base := slices.Clone(f.base)
	for _, c := range f.changes[:n] {
		base = c.apply(base)
	}
	f.base, f.changes = base, slices.Clone(f.changes[n:])
}

// apply makes the change in b, which it may overwrite.
func (c change) apply(b []byte) []byte {
	if c.data == nil {
		return resize(b, c.at)
	}
	if end := c.at + int64(len(c.data)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[c.at:], c.data)
	return b
}

func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	grown := slices.Grow(b, int(size)-len(b))[:size]
	clear(grown[len(b):]) // a file that grows reads as zeros
	return grown
}

// Believe is the next program reading from the disk again what failed syncs left
// behind: each such write turns out to be there, or to be gone for good. toss draws
// which.
func (d *Disk) Believe(toss func() bool) {
	for _, f := range d.files() {
		kept := f.changes[:0:0]
		for _, c := range f.changes {
			if c.lost && !toss() {
				continue
			}
			c.synced, c.lost = c.synced || c.lost, false
			kept = append(kept, c)
		}
		f.changes = kept
	}
}

// Syncing tells whether a file was written to and is not synced since.
func (d *Disk) Syncing(name string) bool {
	f := d.seen[name]
	return f != nil && slices.ContainsFunc(f.changes, func(c change) bool { return !c.synced })
}

// undecided tells whether anything is not durable.
func (d *Disk) undecided() bool {
	if len(d.names) > 0 {
		return true
	}
	for name := range d.seen {
		if d.Syncing(name) {
			return true
		}
	}
	return false
}

// Names are the names in an image, in order.
func (m Image) Names() []string { return slices.Sorted(maps.Keys(m)) }
