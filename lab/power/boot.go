//go:build linux && cgo

package power

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/lab/disk"
	"github.com/idem-go/idem/lab/vfs"
)

// rig is how a suite's recorded agents are built: on a sound disk with the library
// as it is, or with one thing broken. What boots on an image is always sound.
type rig struct {
	folder    string                                                       // where folders are made; on a disk in memory, if there is one
	kept      string                                                       // where images that broke a rule go; empty: nowhere
	fate      func(c vfs.Call) vfs.Fate                                    // nil: the disk is sound
	open      func(path string, opts ...idem.Option) (*idem.Client, error) // nil: idem.Open
	faulty    bool                                                         // the disk fails on purpose: errors are part of the run
	trusts    bool                                                         // the library believes what it reads in the log
	diskFails bool                                                         // some of what is booted was written by a disk that fails
	far       func(*farSide)                                               // nil: the far side keeps its contract
}

// world is a moment: what the disk is, and what happened until then.
type world struct {
	disk   *disk.Disk
	image  disk.Image // what the next process finds
	events []event
}

// blank is the moment before anything happened.
func blank() world { return world{disk: disk.New(nil)} }

// recording is a run that was written down, and the moment it began at.
type recording struct {
	from  world
	log   []entry
	found []Violation // rules that were broken in the run itself
}

// write puts an image into a new folder.
func (g rig) write(image disk.Image) (string, error) {
	folder, err := os.MkdirTemp(g.folder, "image-")
	if err != nil {
		return "", err
	}
	for name, content := range image {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			return "", errors.Join(err, os.RemoveAll(folder))
		}
	}
	return folder, nil
}

// record lets an agent run on what a world's disk holds, and writes it down.
func (g rig) record(w world, p plan, run func(a *agent) error) (rec recording, err error) {
	folder, err := g.write(w.image)
	if err != nil {
		return recording{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	r := newRecorder(folder, w.image)
	r.fate, r.trusts = g.fate, g.trusts
	watch, err := vfs.Start(folder, r)
	if err != nil {
		return recording{}, err
	}
	a := &agent{folder: folder, plan: p, mark: r.mark, rec: r, open: g.open, faulty: g.faulty, far: newFarSide(w.events, r.mark)}
	if g.far != nil {
		g.far(a.far)
	}
	for _, o := range p.orders {
		a.far.script[o.id] = o.faults
	}
	if err := errors.Join(run(a), a.stop(), watch.Stop()); err != nil {
		return recording{}, fmt.Errorf("the run that was to be recorded: %w", err)
	}
	log, err := r.taken()
	return recording{w, log, a.found}, err
}

// boot lets an agent run on an image, and judges it.
func (g rig) boot(image disk.Image, p plan, events []event, thorough bool) ([]Violation, error) {
	folder, err := g.write(image)
	if err != nil {
		return nil, err
	}
	a := &agent{folder: folder, plan: p, mark: func(event) {}, far: newFarSide(events, nil)}
	j := &judge{agent: a, facts: factsOf(p, events), faulty: g.diskFails}
	j.whole(context.Background(), thorough)
	return j.found, os.RemoveAll(folder)
}
