package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"maragu.dev/goqite"
)

func goqiteEntries() []entry {
	return []entry{
		{name: "goqite-full", label: "goqite", group: groupPeer,
			make: func(spec) subject { return &goqitePeer{options: "&_sync=FULL"} }},
		{name: "goqite-shipped", label: "goqite", group: groupPeer, shipped: true,
			make: func(spec) subject { return &goqitePeer{} }},
	}
}

// goqitePeer is a message queue. A pair is one message of the payload sent, received, and then, in one transaction,
// deleted while the outcome is sent to a second queue: three commits.
type goqitePeer struct {
	options        string
	db             *sql.DB
	work, outcomes *goqite.Queue
}

func (g *goqitePeer) Open(dir string, _ int) (err error) {
	g.db, err = openSQLite(filepath.Join(dir, "goqite.db"), "_journal=WAL&_timeout=5000&_fk=true"+g.options)
	if err != nil {
		return err
	}
	schema, err := goqiteSchema()
	if err != nil {
		return err
	}
	if _, err := g.db.Exec(schema); err != nil {
		return err
	}
	g.work = goqite.New(goqite.NewOpts{DB: g.db, Name: "work"})
	g.outcomes = goqite.New(goqite.NewOpts{DB: g.db, Name: "outcomes"})
	return nil
}

// goqiteSchema is the table that goqite asks its users to make: the file in its module, as it stands.
func goqiteSchema() (string, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "maragu.dev/goqite").Output()
	if err != nil {
		return "", fmt.Errorf("goqite's schema cannot be found, run this from the benchmarks folder: %w", err)
	}
	b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "schema_sqlite.sql"))
	return string(b), err
}

func (g *goqitePeer) Pair(_ context.Context, i int) error {
	ctx := context.Background() // a cancellable one makes the driver start a goroutine for each statement
	if err := g.work.Send(ctx, goqite.Message{Body: []byte(payload(i))}); err != nil {
		return err
	}
	// Which message it is does not matter: each caller sends one and takes one.
	m, err := g.work.Receive(ctx)
	if err != nil {
		return err
	}
	if m == nil {
		return errors.New("a message that was sent cannot be received")
	}
	tx, err := g.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	err = errors.Join(g.outcomes.SendTx(ctx, tx, goqite.Message{Body: []byte(outcome(i))}), g.work.DeleteTx(ctx, tx, m.ID))
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (g *goqitePeer) Durability() string { return pragmas(g.db) }
func (g *goqitePeer) Close() error       { return g.db.Close() }
