package main

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"

	_ "github.com/mattn/go-sqlite3"
)

// sqlEntries are what a competent person writes by hand in an afternoon.
func sqlEntries() []entry {
	return []entry{
		{name: "sql-full", label: "hand-written database/sql", group: groupPeer,
			make: func(spec) subject { return &handSQL{options: "&_sync=FULL"} }},
		// With only the options that most programs set, go-sqlite3 runs a WAL at NORMAL: no commit waits for the disk.
		{name: "sql-shipped", label: "hand-written database/sql", group: groupPeer, shipped: true,
			make: func(spec) subject { return &handSQL{} }},
	}
}

// handSQL is one table, one connection, prepared statements, one transaction a write.
// A pair is one INSERT of the key and the payload, and one UPDATE with the outcome.
type handSQL struct {
	options        string
	db             *sql.DB
	insert, settle *sql.Stmt
}

func (h *handSQL) Open(dir string, _ int) (err error) {
	h.db, err = openSQLite(filepath.Join(dir, "hand.db"), "_journal=WAL&_timeout=5000"+h.options)
	if err != nil {
		return err
	}
	_, err = h.db.Exec(`CREATE TABLE effects (
		id TEXT PRIMARY KEY, payload BLOB NOT NULL, state INTEGER NOT NULL DEFAULT 0, outcome BLOB) STRICT`)
	if err != nil {
		return err
	}
	if h.insert, err = h.db.Prepare(`INSERT INTO effects (id, payload) VALUES (?, ?)`); err != nil {
		return err
	}
	h.settle, err = h.db.Prepare(`UPDATE effects SET state = 1, outcome = ? WHERE id = ? AND state = 0`)
	return err
}

// Pair runs its statements without a cancellable context, which would make the driver start a goroutine for each.
func (h *handSQL) Pair(_ context.Context, i int) error {
	id := fmt.Sprintf("order-%012d", i)
	if _, err := h.insert.Exec(id, []byte(payload(i))); err != nil {
		return err
	}
	_, err := h.settle.Exec([]byte(outcome(i)), id)
	return err
}

func (h *handSQL) Durability() string { return pragmas(h.db) }
func (h *handSQL) Close() error       { return h.db.Close() }

// openSQLite opens a database on go-sqlite3 with one connection, as its documentation advises for writers.
func openSQLite(path, options string) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", "file:"+path+"?"+options)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, db.Ping()
}

// pragmas reads back how durable an open database is.
func pragmas(db *sql.DB) string {
	var mode, sync string
	if err := db.QueryRow(`PRAGMA journal_mode`).Scan(&mode); err != nil {
		return err.Error()
	}
	if err := db.QueryRow(`PRAGMA synchronous`).Scan(&sync); err != nil {
		return err.Error()
	}
	names := map[string]string{"0": "OFF", "1": "NORMAL", "2": "FULL", "3": "EXTRA"}
	return mode + " " + names[sync]
}
