//go:build linux && cgo

package vfs_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/idem-go/idem/lab/vfs"
	"github.com/stretchr/testify/require"
)

// tape writes calls down and decides what becomes of each.
type tape struct {
	mu    sync.Mutex
	calls []string
	fate  func(c vfs.Call) vfs.Fate
}

func (p *tape) Before(c vfs.Call) vfs.Fate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fate != nil {
		if f := p.fate(c); f != vfs.Pass {
			return f
		}
	}
	switch c.Kind {
	case vfs.Write:
		p.calls = append(p.calls, "write "+c.Name)
	case vfs.Truncate:
		p.calls = append(p.calls, fmt.Sprintf("truncate %s to %d", c.Name, c.Size))
	}
	return vfs.Pass
}

func (p *tape) After(kind vfs.Kind, name string, worked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if worked && kind != vfs.Write && kind != vfs.Truncate {
		names := map[vfs.Kind]string{vfs.Create: "create", vfs.Sync: "sync", vfs.Delete: "delete", vfs.Folder: "folder"}
		p.calls = append(p.calls, names[kind]+" "+name)
	}
}

func (p *tape) taken() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := p.calls
	p.calls = nil
	return calls
}

func open(t *testing.T, p *tape) *sql.DB {
	t.Helper()
	require.NoError(t, vfs.Install())
	folder := t.TempDir()
	watch, err := vfs.Start(folder, p)
	require.NoError(t, err)
	db, err := sql.Open("sqlite3", filepath.Join(folder, "a.db")+"?_journal_mode=WAL&_synchronous=FULL")
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() {
		require.NoError(t, db.Close())
		require.NoError(t, watch.Stop())
	})
	return db
}

// The recorder sees every step of a commit, the folder's sync for a new WAL among
// them: a disk model that missed it would call durable commits lost.
func TestCallsOfACommit(t *testing.T) {
	t.Parallel()
	p := &tape{}
	db := open(t, p)
	_, err := db.Exec("CREATE TABLE t (x)")
	require.NoError(t, err)
	calls := p.taken()
	require.Contains(t, calls, "create a.db")
	require.Contains(t, calls, "create a.db-wal")
	require.Equal(t, []string{"create a.db-wal", "write a.db-wal", "sync a.db-wal", "folder "}, calls[slices.Index(calls, "create a.db-wal"):][:4], "the log's head")
	require.Equal(t, "sync a.db-wal", calls[len(calls)-1], "the commit")

	_, err = db.Exec("INSERT INTO t VALUES (1)")
	require.NoError(t, err)
	require.Equal(t, []string{"write a.db-wal", "write a.db-wal", "sync a.db-wal"}, p.taken(), "a frame's head, its page, the sync")

	_, err = db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	require.NoError(t, err)
	calls = p.taken()
	require.Contains(t, calls, "write a.db")
	require.Contains(t, calls, "sync a.db")
	require.Contains(t, calls, "truncate a.db-wal to 0")
}

// A call that the watcher fails is an error of SQLite's; one that it ignores is
// none.
func TestFates(t *testing.T) {
	t.Parallel()
	var fates = map[vfs.Kind]vfs.Fate{}
	var mu sync.Mutex
	set := func(k vfs.Kind, f vfs.Fate) {
		mu.Lock()
		defer mu.Unlock()
		clear(fates)
		fates[k] = f
	}
	db := open(t, &tape{fate: func(c vfs.Call) vfs.Fate {
		mu.Lock()
		defer mu.Unlock()
		return fates[c.Kind]
	}})
	_, err := db.Exec("CREATE TABLE t (x)")
	require.NoError(t, err)
	for _, one := range []struct {
		kind vfs.Kind
		fate vfs.Fate
		says string
	}{
		{vfs.Write, vfs.Full, "database or disk is full"},
		{vfs.Write, vfs.Half, "database or disk is full"},
		{vfs.Write, vfs.IO, "disk I/O error"},
		{vfs.Sync, vfs.IO, "disk I/O error"},
		{vfs.Sync, vfs.Ignore, ""},
	} {
		set(one.kind, one.fate)
		_, err := db.Exec("INSERT INTO t VALUES (1)")
		if one.says == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, one.says)
		}
		set(one.kind, vfs.Pass)
	}
	var n int
	require.NoError(t, db.QueryRow("SELECT count(*) FROM t").Scan(&n))
	require.Equal(t, 1, n)
}

// A watch ends only when nothing is open any more that could still call it.
func TestStopWaitsForFiles(t *testing.T) {
	t.Parallel()
	require.NoError(t, vfs.Install())
	folder := t.TempDir()
	watch, err := vfs.Start(folder, &tape{})
	require.NoError(t, err)
	db, err := sql.Open("sqlite3", filepath.Join(folder, "a.db"))
	require.NoError(t, err)
	require.NoError(t, db.Ping())
	_, err = db.Exec("CREATE TABLE t (x)")
	require.NoError(t, err)
	require.ErrorContains(t, watch.Stop(), "still open")
	require.NoError(t, db.Close())
	require.NoError(t, watch.Stop())
}
