//go:build cgo

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/idem-go/idem/internal/localfs"
	"github.com/idem-go/idem/internal/lockfile"

	"github.com/idem-go/idem/journal"
)

const (
	applicationID  = 0x6964656d // "idem"
	schemaVersion  = 5
	smallestSQLite = 512     // bytes of the smallest database
	oldestSQLite   = 3051003 // before it, resetting the WAL could corrupt the file
	walSizeLimit   = 16 << 20
	walPagesToCopy = 1000
	writerCache    = 16 << 20 // bytes at most: an index of a million identities takes 25 MiB
)

// sqliteJournal is the Journal on SQLite: one connection that writes, a few that
// read, and a lock file by which processes know of each other.
type Store struct {
	path    string
	id      string      // the journal's own, by which files know that they belong to it
	file    os.FileInfo // the file that was opened, to notice when another takes its place
	q       *committer
	readers *pool
	locks   *lockfile.File

	owning chan struct{} // holds one while a slot is taken
	mu     sync.Mutex
	owner  int64              // epoch * 256 + slot; 0: no slot taken yet
	owned  map[string]holding // what this opener owns, by key
	kinds  map[kindKey]int64
	names  map[int64]kindKey
	counts map[countKey]journal.Counter // not written yet
	taken  map[countKey]journal.Counter // in the transaction under way
	closed bool

	maxOutcomes int64 // of one intent: generations, or fewer in tests

	locator                         // of keys
	young                 young     // places that are not in the table yet
	beginnings, changings sync.Pool // parts of transactions, to be used again

	settled hints   // identities that this opener saw settled
	replays replays // some of their intents

	waits   waits
	stopped context.Context // ends when the store is closed
	stop    context.CancelFunc
	work    sync.WaitGroup
}

// openSQLite opens or makes the journal at path.
func Open(path string) (*Store, error) { return open(path, usualWaits()) }

func open(path string, w waits) (*Store, error) {
	if path == "" {
		return nil, errors.New("idem: Open needs the path of the journal, such as \"agent.db\"")
	}
	whole, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("idem: opening the journal %s: %w", path, err)
	}
	if real, err := filepath.EvalSymlinks(whole); err == nil {
		whole = real // one file, one lock file, whatever it is called
	}
	s := &Store{
		path: whole, owning: make(chan struct{}, 1),
		owned: map[string]holding{}, kinds: map[kindKey]int64{}, names: map[int64]kindKey{},
		counts: map[countKey]journal.Counter{}, waits: w, maxOutcomes: generations,
		beginnings: sync.Pool{New: func() any { return &beginning{} }},
		changings:  sync.Pool{New: func() any { return &changing{} }},
	}
	s.stopped, s.stop = context.WithCancel(context.Background())
	s.readers = newPool(s.dsn(s.connection() + "&_query_only=1"))
	if err := s.open(); err != nil {
		s.stop()
		s.closeFiles()
		return nil, fmt.Errorf("idem: opening the journal %s: %w", path, err)
	}
	s.work.Go(s.flushCounts)
	return s, nil
}

func (s *Store) open() error {
	if _, version, _ := sqlite3.Version(); version == 0 {
		return errors.New("go-sqlite3 was built without cgo, so there is no SQLite: set CGO_ENABLED=1 and have a C compiler")
	} else if version < oldestSQLite {
		return fmt.Errorf("SQLite %d is too old, 3.51.3 is needed: build without the libsqlite3 tag", version)
	}
	isNew, err := s.inspect()
	if err != nil {
		return err
	}
	if err := s.openLockFile(); err != nil {
		return err
	}
	// One opener at a time: making a journal, and switching one to WAL, do not wait
	// for each other otherwise.
	unlock, err := s.waitSlot(context.Background(), lockfile.OpeningSlot, "the turn to open the journal")
	if err != nil {
		return err
	}
	defer unlock()
	if err := localfs.OpenInProcess(s.path); err != nil {
		return err
	}
	if isNew {
		if err := createFile(s.path); err != nil {
			return err
		}
	}
	if err := s.connect(); err != nil {
		return s.busy(plain(err))
	}
	if s.file, err = os.Stat(s.path); err != nil {
		return err
	}
	if err := s.migrate(); err != nil {
		return s.busy(err)
	}
	// From here on the committer waits for the write lock by itself: SQLite's own
	// wait cannot be ended by a caller's ctx.
	return s.q.conn.query("PRAGMA busy_timeout = 0", func([]value) error { return nil })
}

// inspect looks at the path before anything is made beside it.
func (s *Store) inspect() (isNew bool, err error) {
	folder := filepath.Dir(s.path)
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, fmt.Errorf("the folder %s does not exist: make it first", folder)
	case err != nil:
		return false, err
	case !info.IsDir():
		return false, fmt.Errorf("%s is not a folder", folder)
	}
	if err := localfs.IsLocal(folder); err != nil {
		return false, err
	}
	file, err := os.Stat(s.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if info.Mode().Perm()&0o222 == 0 {
			return false, fmt.Errorf("the folder %s is read-only (mode %v): the journal and three files beside it are made there: chmod it, or name another folder", folder, info.Mode().Perm())
		}
		if to, err := os.Readlink(s.path); err == nil {
			return false, fmt.Errorf("it is a symbolic link to %s, which does not exist: name the file itself, so that it has one lock file", to)
		}
		return true, nil
	case err != nil:
		return false, err
	case file.IsDir():
		return false, errors.New("it is a folder: name a file in it")
	case file.Mode().Perm()&0o200 == 0:
		return false, fmt.Errorf("the file is read-only (mode %v): a journal is written to: chmod it", file.Mode().Perm())
	case file.Size() == 0:
		return true, nil
	case file.Size() < smallestSQLite:
		return false, errors.New("the file is not a SQLite database: name another file")
	}
	// Whose file it is is asked before a lock file is put beside it, and without
	// writing. The program that has it open already is told so.
	if err := localfs.OpenInProcess(s.path); err != nil {
		return false, err
	}
	if localfs.HasHardLinks(file) {
		return false, errors.New("the file has more than one name (a hard link), and what SQLite and idem keep beside one is not beside the other: remove the other name, or copy the file")
	}
	if err := localfs.SyncWAL(s.path + "-wal"); err != nil {
		return false, err
	}
	err = s.identifyFile("ro")
	if isReadOnly(err) {
		// A crash left a transaction half-way, and whoever opens the file next has to
		// roll it back: the first thing that a new journal sees is such a one.
		err = s.identifyFile("rw")
	}
	return false, err
}

func (s *Store) identifyFile(mode string) error {
	c, err := openConn(s.dsn(fmt.Sprintf("_busy_timeout=%d&mode=%s", s.waits.writeLock.Milliseconds(), mode)))
	if err != nil {
		return s.busy(plain(err))
	}
	return errors.Join(s.busy(s.identify(c)), c.close())
}

// identify tells whether the file is a journal that this version can read. It looks
// at one moment of it: another process may be making it.
func (s *Store) identify(c *conn) error {
	if err := c.exec("BEGIN"); err != nil {
		return plain(err)
	}
	err := s.identifyNow(c)
	if c.raw.AutoCommit() {
		return err
	}
	return errors.Join(err, plain(c.exec("ROLLBACK")))
}

func (s *Store) identifyNow(c *conn) error {
	id, err := c.integer("PRAGMA application_id", 0)
	if err != nil {
		return plain(err)
	}
	version, err := c.integer("PRAGMA user_version", 0)
	if err != nil {
		return plain(err)
	}
	switch {
	case id != applicationID && (id != 0 || version != 0):
		return fmt.Errorf("it is a SQLite database of another program (application_id %#x): name another file", id)
	case version > schemaVersion:
		return fmt.Errorf("it was written by a newer version of idem (format %d, this one knows %d): use that version; nothing was changed", version, schemaVersion)
	case id != applicationID:
		tables, err := c.integer("SELECT count(*) FROM sqlite_schema", 0)
		if err != nil {
			return plain(err)
		}
		if tables > 0 {
			return errors.New("it is a SQLite database of another program: name another file")
		}
	}
	return nil
}

func (s *Store) dsn(options string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(s.path)}).EscapedPath(), RawQuery: options}
	return u.String()
}

// connection returns the options of a connection that is kept.
func (s *Store) connection() string {
	return fmt.Sprintf("mode=rw&_journal_mode=WAL&_synchronous=FULL&_txlock=immediate&_busy_timeout=%d", s.waits.writeLock.Milliseconds())
}

// busy says of a lock of SQLite's that was waited for in vain which process may hold it.
func (s *Store) busy(err error) error {
	if !isBusy(err) {
		return err
	}
	return heldLock(s.waits.writeLock, s.suspects(), err)
}

// connect opens the writing connection.
func (s *Store) connect() error {
	c, err := openConn(s.dsn(s.connection()))
	if err != nil {
		return err
	}
	s.q = &committer{conn: c, turn: s.turn, also: s.takeCounts, done: s.written, busyLimit: s.waits.writeLock, suspects: s.suspects}
	if err := s.identify(c); err != nil {
		return err
	}
	for _, pragma := range []string{
		fmt.Sprintf("PRAGMA journal_size_limit = %d", walSizeLimit),
		fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", walPagesToCopy),
		fmt.Sprintf("PRAGMA cache_size = -%d", writerCache>>10),
		// On macOS an fsync leaves data in the drive's cache; elsewhere these do nothing.
		"PRAGMA fullfsync = ON",
		"PRAGMA checkpoint_fullfsync = ON",
	} {
		if err := c.query(pragma, func([]value) error { return nil }); err != nil {
			return err
		}
	}
	return readBack(c)
}

// readBack refuses a connection that would not keep what it acknowledges.
func readBack(c *conn) error {
	mode, err := c.blob("PRAGMA journal_mode")
	if err != nil {
		return err
	}
	sync, err := c.integer("PRAGMA synchronous", -1)
	if err != nil {
		return err
	}
	if string(mode) != "wal" || sync != 2 {
		return fmt.Errorf("SQLite would not be durable here (journal_mode %s, synchronous %d; wal and 2 are needed): use a local file system", mode, sync)
	}
	return nil
}

// tighten ties the lock file to the journal, and keeps both from other users.
func (s *Store) tighten() error {
	id, err := s.q.conn.blob(selectValue, valueID)
	if err != nil {
		return plain(err)
	}
	s.id = string(id)
	s.locator = locator{s.id}
	// SQLite syncs the folder of a new log, and does not look at the error.
	if err := localfs.SyncDir(filepath.Dir(s.path)); err != nil {
		return err
	}
	if err := s.locks.Tie(s.id, func() (bool, error) {
		open, err := s.openIDs(s.q.conn, 0, 1)
		return len(open) > 0, err
	}); err != nil {
		return err
	}
	if err := s.checkWitnesses(); err != nil {
		return err
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(s.path + suffix)
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			err = os.Chmod(s.path+suffix, 0o600)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// openLockFile opens the lock file beside the journal, and makes its entry in the
// folder durable where it is new.
func (s *Store) openLockFile() (err error) {
	path := s.path + ".owners"
	_, missing := os.Stat(path)
	if s.locks, err = lockfile.Open(path); err != nil {
		return err
	}
	if errors.Is(missing, os.ErrNotExist) {
		if err = localfs.SyncDir(filepath.Dir(path)); err != nil {
			return fmt.Errorf("the lock file: %w", err)
		}
	}
	return nil
}

// sameLockFile fails where the lock file at the path is no longer the one that is
// open.
func (s *Store) sameLockFile() error {
	if ok, _ := localfs.SameFile(s.locks.Path(), s.locks.Info()); ok {
		return nil
	}
	return fmt.Errorf("the lock file %s is gone or another one is in its place, so other processes cannot know of this one: close the client and open it again", s.locks.Path())
}

// createFile makes an empty file that only its owner can read, durably.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return localfs.SyncDir(filepath.Dir(path))
}

// Close writes what is still to be counted, closes every connection and drops the
// lock last.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.work.Wait()
	err := s.saveCounts(context.Background())
	return errors.Join(err, s.closeFiles())
}

func (s *Store) closeFiles() error {
	var errs []error
	if s.readers != nil {
		errs = append(errs, s.readers.close())
	}
	if s.q != nil {
		errs = append(errs, s.q.conn.close())
	}
	if s.locks != nil {
		errs = append(errs, s.locks.Close())
	}
	return errors.Join(errs...)
}

// same tells whether the journal at the path is still the one that is open. A
// writer whose file was unlinked would go on succeeding, for nobody.
func (s *Store) same() error {
	ok, err := localfs.SameFile(s.path, s.file)
	if ok {
		return s.sameLockFile()
	}
	if err == nil {
		err = errors.New("another file is in its place")
	}
	return fmt.Errorf("the journal %s is gone from under this process: %w; put the file back where it was, close the client and open it again", s.path, err)
}

const (
	insertValue = `INSERT INTO vals (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
	selectValue = `SELECT value FROM vals WHERE name = ?`
	valueID     = "id"
	valueFloor  = "floor"
)

// Value implements Journal.
func (s *Store) Value(ctx context.Context, name string, update func([]byte) ([]byte, error)) ([]byte, error) {
	var value []byte
	if update == nil {
		err := s.read(func(c *conn) (err error) {
			value, err = c.blob(selectValue, "user "+name)
			return err
		})
		return value, err
	}
	err := s.q.commit(ctx, func(c *conn) error {
		old, err := c.blob(selectValue, "user "+name)
		if err != nil {
			return err
		}
		if value, err = update(old); err != nil || strings.Compare(string(old), string(value)) == 0 {
			return err
		}
		return c.change(insertValue, "user "+name, value)
	})
	return value, err
}
