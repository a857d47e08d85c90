//go:build linux && cgo

// Package vfs stands between SQLite and the file system. It tells a watcher of
// every call that changes a file in a folder, in order, and lets it decide what
// becomes of the call: passed on, ignored, or failed.
package vfs

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"path/filepath"
	"runtime/cgo"
	"unsafe"

	_ "github.com/mattn/go-sqlite3" // the SQLite that the shim is linked to
)

// Kind is what a call does.
type Kind int

// The kinds of calls. Shared memory is not among them: it does not outlive a power
// loss.
const (
	Create   Kind = C.CALL_CREATE // a file that was not there is made
	Write    Kind = C.CALL_WRITE
	Truncate Kind = C.CALL_TRUNCATE
	Sync     Kind = C.CALL_SYNC
	Delete   Kind = C.CALL_DELETE
	Folder   Kind = C.CALL_FOLDER // the folder is synced
)

// Fate is what becomes of a call.
type Fate int

// The fates of a call. SQLite does not look at the error of a folder's sync.
const (
	Pass   Fate = C.FATE_PASS
	Ignore Fate = C.FATE_IGNORE // it is said to have worked, and does nothing
	IO     Fate = C.FATE_IO     // EIO
	Full   Fate = C.FATE_FULL   // ENOSPC; for writes
	Half   Fate = C.FATE_HALF   // ENOSPC after half of it was written; for writes
)

// Call is one call of SQLite.
type Call struct {
	Kind   Kind
	Name   string // of the file, within the folder
	Offset int64
	Data   []byte // of a write
	Size   int64  // of a truncation
}

// Watcher is told of calls, by whatever threads make them.
type Watcher interface {
	// Before decides what becomes of a call that is about to be made.
	Before(c Call) Fate
	// After is told that a call of this kind was made, and whether it worked. A
	// folder's sync comes after the sync of the file that it belongs to.
	After(kind Kind, name string, worked bool)
}

// Watch is one watched folder.
type Watch struct{ handle cgo.Handle }

// Install makes the shim SQLite's default in this process. Doing it again does
// nothing. It comes before the first Start.
func Install() error {
	if rc := C.lab_install(); rc != 0 {
		return fmt.Errorf("vfs: SQLite did not take the shim (code %d): was it built with the libsqlite3 tag?", rc)
	}
	return nil
}

// Start watches a folder: files that SQLite opens in it from now on.
func Start(folder string, w Watcher) (*Watch, error) {
	whole, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return nil, fmt.Errorf("vfs: watching %s: %w", folder, err)
	}
	name := C.CString(whole)
	defer C.free(unsafe.Pointer(name))
	handle := cgo.NewHandle(w)
	if rc := C.lab_watch(name, C.uintptr_t(handle)); rc != 0 {
		handle.Delete()
		return nil, fmt.Errorf("vfs: watching %s: there is no place for one more watch, or the name is too long (code %d)", folder, rc)
	}
	return &Watch{handle}, nil
}

// Stop ends it. Every file in the folder must be closed before.
func (w *Watch) Stop() error {
	if n := C.lab_unwatch(C.uintptr_t(w.handle)); n != 0 {
		return fmt.Errorf("vfs: %d files are still open: close them before the watch is stopped", n)
	}
	w.handle.Delete()
	return nil
}
