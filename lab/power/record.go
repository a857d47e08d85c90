//go:build linux && cgo

package power

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/idem-go/idem/lab/disk"
	"github.com/idem-go/idem/lab/vfs"
)

// journalName is what the agent calls its journal. Beside it are SQLite's -wal and
// the library's .owners; SQLite's -shm does not outlive a power loss.
const (
	journalName = "agent.db"
	ownersName  = journalName + ".owners"
	ownersID    = 32 // so many bytes of it tie it to the journal
)

// entry is one step of a run: an operation of the disk, or an event.
type entry struct {
	op    disk.Op // Kind 0: an event
	event event
}

// recorder writes a run down: SQLite's operations as the shim tells of them, the
// library's own on the two files that it makes itself, and events, in order.
type recorder struct {
	folder string
	fate   func(c vfs.Call) vfs.Fate // nil: everything works
	trusts bool                      // the library does not sync the log before it reads it

	mu     sync.Mutex
	log    []entry
	owners []byte // the lock file's content, as known
	tied   bool   // by the Open that is under way
	there  map[string]bool
	err    error
}

// newRecorder begins with a folder that holds an image.
func newRecorder(folder string, image disk.Image) *recorder {
	r := &recorder{folder: folder, there: map[string]bool{}, owners: image[ownersName]}
	for name := range image {
		r.there[name] = true
	}
	return r
}

// Before implements vfs.Watcher.
func (r *recorder) Before(c vfs.Call) vfs.Fate {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.look()
	fate := vfs.Pass
	if r.fate != nil {
		fate = r.fate(c)
	}
	switch {
	case c.Kind == vfs.Write && fate == vfs.Pass:
		r.add(disk.Op{Kind: disk.Write, Name: c.Name, Offset: c.Offset, Data: c.Data})
	case c.Kind == vfs.Write && fate == vfs.Half:
		r.add(disk.Op{Kind: disk.Write, Name: c.Name, Offset: c.Offset, Data: c.Data[:len(c.Data)/2]})
	case c.Kind == vfs.Truncate && fate == vfs.Pass:
		r.add(disk.Op{Kind: disk.Truncate, Name: c.Name, Size: c.Size})
	case c.Kind == vfs.Sync && fate != vfs.Pass && fate != vfs.Ignore:
		r.add(disk.Op{Kind: disk.SyncFailed, Name: c.Name})
	}
	return fate
}

// After implements vfs.Watcher.
func (r *recorder) After(kind vfs.Kind, name string, worked bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.look()
	if !worked {
		r.err = errors.Join(r.err, fmt.Errorf("call %d on %q failed for real", kind, name))
		return
	}
	switch kind {
	case vfs.Create:
		r.there[name] = true
		r.add(disk.Op{Kind: disk.Create, Name: name})
	case vfs.Sync:
		r.add(disk.Op{Kind: disk.Sync, Name: name})
	case vfs.Delete:
		delete(r.there, name)
		r.add(disk.Op{Kind: disk.Delete, Name: name})
	case vfs.Folder:
		r.add(disk.Op{Kind: disk.Folder})
	}
}

func (r *recorder) add(op disk.Op) { r.log = append(r.log, entry{op: op}) }

// mark writes an event down.
func (r *recorder) mark(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.look()
	r.log = append(r.log, entry{event: e})
}

// opening says that the library is about to open the journal: before it reads
// anything, it syncs SQLite's log.
func (r *recorder) opening() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tied = false
	if r.there[journalName+"-wal"] && !r.trusts {
		r.add(disk.Op{Kind: disk.Sync, Name: journalName + "-wal"})
	}
}

// opened says that it is open: the names and the lock file's tie are durable.
func (r *recorder) opened() {
	r.mu.Lock()
	r.look()
	if !r.tied { // it was already, which the library syncs again
		r.add(disk.Op{Kind: disk.Folder})
		r.add(disk.Op{Kind: disk.Sync, Name: ownersName})
	}
	r.mu.Unlock()
	r.mark(event{kind: opened})
}

// look finds what the library did without SQLite since the last step: it makes the
// journal's empty file and the lock file, whose names it syncs, and writes into the
// lock file: the journal's id, which it syncs, and witnesses, which it does not.
// These syncs, and those of opening and opened, are taken for granted here: where
// strace is installed, TestTracer sees that they are made.
func (r *recorder) look() {
	content, err := os.ReadFile(filepath.Join(r.folder, ownersName))
	if err != nil {
		return
	}
	if !r.there[ownersName] {
		r.made(ownersName)
	}
	if !r.there[journalName] {
		if _, err := os.Stat(filepath.Join(r.folder, journalName)); err == nil {
			r.made(journalName)
		}
	}
	if bytes.Equal(content, r.owners) {
		return
	}
	if !bytes.HasPrefix(r.owners, content[:min(ownersID, len(content))]) {
		r.add(disk.Op{Kind: disk.Folder}) // names are durable before the two are tied
		r.tied = true
	}
	if len(content) < len(r.owners) {
		r.add(disk.Op{Kind: disk.Truncate, Name: ownersName, Size: int64(len(content))})
		r.owners = r.owners[:len(content)]
	}
	r.changed(content, 0, min(ownersID, len(content)), true)
	r.changed(content, min(ownersID, len(content)), len(content), false)
	r.owners = content
}

func (r *recorder) made(name string) {
	r.there[name] = true
	r.add(disk.Op{Kind: disk.Create, Name: name})
	r.add(disk.Op{Kind: disk.Folder})
}

// changed adds what differs in a part of the lock file.
func (r *recorder) changed(content []byte, from, to int, synced bool) {
	same := func(i int) bool { // behind the end, what was never written reads as zeros
		return i < len(r.owners) && r.owners[i] == content[i] || i >= len(r.owners) && content[i] == 0 && to == len(content)
	}
	for from < to && same(from) {
		from++
	}
	for from < to && same(to-1) {
		to--
	}
	if from == to {
		return
	}
	r.add(disk.Op{Kind: disk.Write, Name: ownersName, Offset: int64(from), Data: bytes.Clone(content[from:to])})
	if synced {
		r.add(disk.Op{Kind: disk.Sync, Name: ownersName})
	}
}

// taken is the log so far.
func (r *recorder) taken() ([]entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log, r.err
}
