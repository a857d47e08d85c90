package main

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/mikestefanello/backlite"
)

func backliteEntries() []entry {
	return []entry{
		{name: "backlite-full", label: "backlite", group: groupPeer,
			make: func(spec) subject { return &backlitePeer{full: true} }},
		{name: "backlite-shipped", label: "backlite", group: groupPeer, shipped: true,
			make: func(spec) subject { return &backlitePeer{} }},
	}
}

// backlitePeer is a queue of background tasks. It has no place for a task's outcome, so the task writes it to a table
// beside, as its users do. A pair is one task of the payload saved, claimed by the dispatcher, run, and its outcome
// written; the dispatcher then marks the task done, retained with its data, while the caller goes on.
type backlitePeer struct {
	full    bool
	db      *sql.DB
	client  *backlite.Client
	write   *sql.Stmt
	waiting sync.Map // task number → chan error
	cancel  context.CancelFunc
}

// backliteTask is what the queue stores.
type backliteTask struct {
	Number  int
	Payload string
}

// Config keeps what is done, since a record that vanishes could not answer a second time.
func (backliteTask) Config() backlite.QueueConfig {
	return backlite.QueueConfig{
		Name: "effect", MaxAttempts: 5, Backoff: 5 * time.Second, Timeout: 10 * time.Second,
		Retention: &backlite.Retention{Duration: 6 * time.Hour, Data: &backlite.RetainData{}},
	}
}

func (b *backlitePeer) Open(dir string, callers int) (err error) {
	path := filepath.Join(dir, "backlite.db")
	workers := 10 // as its README has it
	if b.full {
		// One connection and a worker for each caller: with fewer, its dispatcher sleeps 100 ms at a time.
		workers = max(workers, 2*callers)
		b.db, err = openSQLite(path, "_journal=WAL&_timeout=5000&_sync=FULL&_txlock=immediate")
	} else {
		b.db, err = sql.Open("sqlite3", "file:"+path+"?_journal=WAL&_timeout=5000")
	}
	if err != nil {
		return err
	}
	b.client, err = backlite.NewClient(backlite.ClientConfig{
		DB: b.db, NumWorkers: workers, ReleaseAfter: 10 * time.Minute, CleanupInterval: time.Hour,
	})
	if err != nil {
		return err
	}
	if err := b.client.Install(); err != nil {
		return err
	}
	if _, err := b.db.Exec(`CREATE TABLE outcomes (id INTEGER PRIMARY KEY, outcome BLOB NOT NULL) STRICT`); err != nil {
		return err
	}
	if b.write, err = b.db.Prepare(`INSERT INTO outcomes (id, outcome) VALUES (?, ?)`); err != nil {
		return err
	}
	b.client.Register(backlite.NewQueue(b.run))
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	b.client.Start(ctx)
	return nil
}

func (b *backlitePeer) run(_ context.Context, t backliteTask) error {
	_, err := b.write.Exec(t.Number, []byte(outcome(t.Number)))
	if done, ok := b.waiting.LoadAndDelete(t.Number); ok {
		done.(chan error) <- err
	}
	return err
}

func (b *backlitePeer) Pair(ctx context.Context, i int) error {
	done := make(chan error, 1)
	b.waiting.Store(i, done)
	if _, err := b.client.Add(backliteTask{Number: i, Payload: payload(i)}).Save(); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *backlitePeer) Durability() string { return pragmas(b.db) }

func (b *backlitePeer) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	defer b.cancel()
	if !b.client.Stop(ctx) {
		return errors.New("its workers did not end within 10 s")
	}
	return b.db.Close()
}
