package idemtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// storeHeader is the first line of a store's file.
const storeHeader = `{"format":"idemtest ledger","version":1}` + "\n"

// entry is one line of the store's file: what happened at one instant, applied
// whole or not at all.
type entry struct {
	Arrival *Arrival      `json:"arrival,omitempty"` // a new one, or the newer text of an old one
	Key     *KeyRecord    `json:"key,omitempty"`
	Effect  *Effect       `json:"effect,omitempty"`
	Object  *object       `json:"object,omitempty"`
	Expire  string        `json:"expire,omitempty"`
	Advance time.Duration `json:"advance,omitempty"`
}

// store is an append-only file of JSON lines. Writes are ordered by the
// server's mutex; syncs share one fsync among all who wait.
type store struct {
	path string
	file *os.File
	size atomic.Int64 // bytes of whole lines

	syncing sync.Mutex
	synced  int64
}

// openStore reads the file and goes on behind its last whole line.
func (s *Server) openStore(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("idemtest: WithStore: cannot open the file; its folder must exist: %w", err)
	}
	if err := s.loadStore(f, path); err != nil {
		return errors.Join(fmt.Errorf("idemtest: WithStore: %s: %w", path, err), f.Close())
	}
	return nil
}

func (s *Server) loadStore(f *os.File, path string) error {
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	st := &store{path: path, file: f}
	whole := int64(0)
	switch {
	case bytes.HasPrefix(data, []byte(storeHeader)):
		if whole, err = s.replay(data); err != nil {
			return err
		}
	case !bytes.HasPrefix([]byte(storeHeader), data): // not even a torn header
		return errors.New("the file is not a ledger of this package; give another path")
	}
	// A torn last line is what a killed process leaves: it was never answered.
	if err := f.Truncate(whole); err != nil {
		return err
	}
	if _, err := f.Seek(whole, io.SeekStart); err != nil {
		return err
	}
	if whole == 0 {
		if _, err := f.WriteString(storeHeader); err != nil {
			return err
		}
		whole = int64(len(storeHeader))
	}
	st.size.Store(whole)
	if err := f.Sync(); err != nil {
		return err
	}
	st.synced = whole
	s.store = st
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a new file's name durable, where the system can.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	// Some systems cannot sync a folder; the file itself is synced.
	_ = d.Sync()
	return d.Close()
}

// replay applies every whole line and returns where the last one ends.
func (s *Server) replay(data []byte) (int64, error) {
	at := len(storeHeader)
	for line := 2; at < len(data); line++ {
		end := bytes.IndexByte(data[at:], '\n')
		if end < 0 {
			return int64(at), nil
		}
		var e entry
		err := json.Unmarshal(data[at:at+end], &e)
		if err == nil {
			err = s.apply(e)
		}
		if err != nil {
			if at+end+1 == len(data) { // the last line: torn inside a block that was padded
				return int64(at), nil
			}
			return 0, fmt.Errorf("line %d is damaged; delete the file to begin anew: %w", line, err)
		}
		at += end + 1
	}
	return int64(at), nil
}

func (s *Server) apply(e entry) error {
	if a := e.Arrival; a != nil {
		switch {
		case a.Seq == len(s.arrivals)+1:
			s.arrivals = append(s.arrivals, *a)
		case a.Seq >= 1 && a.Seq <= len(s.arrivals):
			s.arrivals[a.Seq-1] = *a
		default:
			return fmt.Errorf("arrival %d comes after %d", a.Seq, len(s.arrivals))
		}
	}
	s.offset += e.Advance
	if rec := s.current[e.Expire]; e.Expire != "" && rec != nil {
		rec.Expired = true
	}
	s.applyLocked(e.Key, e.Effect, e.Object)
	return nil
}

// write appends one line; the caller holds s.mu. False: it could not, now or
// earlier, and nothing may be built on it. Without a store there is nothing to
// do.
func (s *Server) write(e entry) bool {
	if s.store == nil {
		return true
	}
	if s.storeErr != nil {
		return false
	}
	line, err := json.Marshal(e)
	if err == nil {
		err = s.store.append(append(line, '\n'))
	}
	if err != nil {
		s.storeFailed(err)
		return false
	}
	return true
}

func (s *Server) storeFailed(err error) {
	if s.storeErr == nil {
		s.storeErr = fmt.Errorf("idemtest: the store failed, and the server answers nothing more: %w", err)
	}
}

// sync makes everything written so far durable. The caller does not hold s.mu.
func (s *Server) sync() bool {
	s.mu.Lock()
	st := s.store
	s.mu.Unlock()
	if st == nil {
		return true
	}
	err := st.sync()
	if err == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.storeFailed(err)
	return false
}

// append may leave a torn line when it fails: the next opener drops it, and
// nothing is written behind it.
func (st *store) append(line []byte) error {
	if _, err := st.file.Write(line); err != nil {
		return err
	}
	st.size.Add(int64(len(line)))
	return nil
}

func (st *store) sync() error {
	want := st.size.Load()
	st.syncing.Lock()
	defer st.syncing.Unlock()
	if st.synced >= want {
		return nil
	}
	upTo := st.size.Load()
	if err := st.file.Sync(); err != nil {
		return err
	}
	st.synced = upTo
	return nil
}

func (st *store) close() error {
	err := errors.Join(st.sync(), st.file.Close())
	if errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
}
