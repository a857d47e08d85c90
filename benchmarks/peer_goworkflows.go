package main

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/cschleiden/go-workflows/backend"
	"github.com/cschleiden/go-workflows/backend/monoprocess"
	"github.com/cschleiden/go-workflows/backend/sqlite"
	"github.com/cschleiden/go-workflows/client"
	"github.com/cschleiden/go-workflows/worker"
	"github.com/cschleiden/go-workflows/workflow"
	"github.com/google/uuid"
)

func goworkflowsEntries() []entry {
	return []entry{
		{name: "go-workflows-full", label: "go-workflows", group: groupPeer,
			make: func(spec) subject { return &goworkflowsPeer{full: true} }},
		{name: "go-workflows-shipped", label: "go-workflows", group: groupPeer, shipped: true,
			make: func(spec) subject { return &goworkflowsPeer{} }},
	}
}

// goworkflowsPeer runs on its SQLite backend, with its single-process wrapper so that workers need not poll.
// A pair is one workflow instance made with the payload, one activity that returns the outcome, and the wait for its
// end. Its SQLite backend is fsync-durable as it comes.
type goworkflowsPeer struct {
	full   bool
	db     *sql.DB // ours in the full form
	close  func() error
	client *client.Client
	worker *worker.Worker
	cancel context.CancelFunc
}

func (g *goworkflowsPeer) Open(dir string, _ int) (err error) {
	path := filepath.Join(dir, "workflows.db")
	quiet := sqlite.WithBackendOptions(backend.WithLogger(slog.New(slog.DiscardHandler)))
	var b backend.Backend
	if g.full {
		g.db, err = sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)"+
			"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
		if err != nil {
			return err
		}
		g.db.SetMaxOpenConns(1) // as its own constructor does
		own := sqlite.NewSqliteBackendWithDB(g.db, quiet, sqlite.WithApplyMigrations(true))
		b, g.close = own, g.db.Close
	} else {
		own := sqlite.NewSqliteBackend(path, quiet)
		b, g.close = own, own.Close
	}
	b = monoprocess.NewMonoprocessBackend(b)
	g.worker = worker.New(b, nil)
	if err := g.worker.RegisterWorkflow(effectWorkflow); err != nil {
		return err
	}
	if err := g.worker.RegisterActivity(effectActivity); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	g.client = client.New(b)
	return g.worker.Start(ctx)
}

func effectWorkflow(ctx workflow.Context, in string) error {
	_, err := workflow.ExecuteActivity[string](ctx, workflow.DefaultActivityOptions, effectActivity, in).Get(ctx)
	return err
}

func effectActivity(_ context.Context, in string) (string, error) { return outcome(len(in)), nil }

func (g *goworkflowsPeer) Pair(ctx context.Context, i int) error {
	in, err := g.client.CreateWorkflowInstance(ctx,
		client.WorkflowInstanceOptions{InstanceID: uuid.NewString()}, effectWorkflow, payload(i))
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	return g.client.WaitForWorkflowInstance(ctx, in, time.Minute)
}

func (g *goworkflowsPeer) Durability() string {
	if g.db == nil {
		return "wal FULL (the driver's default)"
	}
	return pragmas(g.db)
}

func (g *goworkflowsPeer) Close() error {
	g.cancel()
	if err := g.worker.WaitForCompletion(); err != nil {
		return err
	}
	return g.close()
}
