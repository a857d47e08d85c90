package main

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	_ "github.com/dbos-inc/dbos-transact-golang/dbos/driver/sqlite"
)

// dbosSteps is how many steps its workflows have in the row where it does best.
const dbosSteps = 20

func dbosEntries() []entry {
	return []entry{
		{name: "dbos-full", label: "DBOS Go, a workflow of one step", group: groupPeer,
			make: func(spec) subject { return &dbosPeer{full: true, steps: 1} }},
		{name: "dbos-shipped", label: "DBOS Go, a workflow of one step", group: groupPeer, shipped: true,
			make: func(spec) subject { return &dbosPeer{steps: 1} }},
		{name: "dbos-steps-full", label: "DBOS Go, 20 steps a workflow, a step", group: groupPeer,
			make: func(spec) subject { return &dbosManySteps{dbosPeer{full: true, steps: dbosSteps}} }},
	}
}

// dbosPeer is DBOS Transact on SQLite. A pair is one workflow started with the payload, one step that returns the
// outcome, and the workflow's end, which keeps nothing. With more steps a workflow, a pair is one step: the payload is
// then recorded once for all of them, which is less work than the others do.
type dbosPeer struct {
	full  bool
	steps int
	done  atomic.Int64 // steps
	ctx   dbos.Context
	db    *sql.DB // ours in the full form
}

func (d *dbosPeer) Open(dir string, _ int) (err error) {
	cfg := dbos.Config{AppName: "benchmark", Logger: slog.New(slog.DiscardHandler), ApplicationVersion: "1"}
	path := filepath.Join(dir, "dbos.db")
	if d.full {
		// Its own pool sets NORMAL whatever the address says, so FULL needs a handle made like its own.
		d.db, err = sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)"+
			"&_pragma=foreign_keys(ON)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
		if err != nil {
			return err
		}
		d.db.SetMaxOpenConns(8)
		d.db.SetMaxIdleConns(8)
		cfg.SQLiteSystemDB = d.db
	} else {
		cfg.DatabaseURL = "sqlite:" + path
	}
	if d.ctx, err = dbos.NewContext(context.Background(), cfg); err != nil {
		return err
	}
	dbos.RegisterWorkflow(d.ctx, d.workflow)
	return dbos.Launch(d.ctx)
}

func (d *dbosPeer) workflow(ctx dbos.Context, in string) (string, error) {
	for i := range d.steps {
		_, err := dbos.RunAsStep(ctx, func(context.Context) (string, error) { return outcome(i), nil })
		if err != nil {
			return "", err
		}
		d.done.Add(1)
	}
	return "", nil
}

// Pair runs one workflow.
func (d *dbosPeer) Pair(_ context.Context, i int) error {
	h, err := dbos.RunWorkflow(d.ctx, d.workflow, payload(i))
	if err != nil {
		return err
	}
	_, err = h.GetResult()
	return err
}

func (d *dbosPeer) Durability() string {
	if d.db == nil {
		return "wal NORMAL (as its pool sets it)"
	}
	return pragmas(d.db)
}

func (d *dbosPeer) Close() error {
	err := dbos.Shutdown(d.ctx, 10*time.Second)
	if d.db != nil {
		return d.db.Close()
	}
	return err
}

// dbosManySteps counts steps instead of workflows.
type dbosManySteps struct{ dbosPeer }

func (d *dbosManySteps) Weight() int { return d.steps }
func (d *dbosManySteps) Done() int64 { return d.done.Load() }
