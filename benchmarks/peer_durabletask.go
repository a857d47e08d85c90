package main

import (
	"context"
	"path/filepath"

	"github.com/microsoft/durabletask-go/api"
	"github.com/microsoft/durabletask-go/backend"
	"github.com/microsoft/durabletask-go/backend/sqlite"
	"github.com/microsoft/durabletask-go/task"
)

func durabletaskEntries() []entry {
	return []entry{
		{name: "durabletask-full", label: "durabletask-go", group: groupPeer,
			make: func(spec) subject { return &durabletaskPeer{full: true} }},
		{name: "durabletask-shipped", label: "durabletask-go", group: groupPeer, shipped: true,
			make: func(spec) subject { return &durabletaskPeer{} }},
	}
}

// durabletaskPeer runs on its SQLite backend. A pair is one orchestration scheduled with the payload, one activity
// that returns the outcome, and the wait for its end. Most of its time is polling: its workers back off from 50 ms,
// its client's wait from 100 ms, and neither can be set. More work items at once (WithMaxParallelism) changed nothing.
type durabletaskPeer struct {
	full   bool
	client backend.TaskHubClient
	worker backend.TaskHubWorker
}

func (d *durabletaskPeer) Open(dir string, _ int) error {
	// As shipped it has a rollback journal at SQLite's default, which is FULL already. The full form gives it a
	// write-ahead log, which is kinder to it.
	dsn := "file:" + filepath.Join(dir, "durabletask.db")
	if d.full {
		dsn += "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
	}
	r := task.NewTaskRegistry()
	if err := r.AddOrchestratorN("effect", orchestrateEffect); err != nil {
		return err
	}
	if err := r.AddActivityN("run", runEffect); err != nil {
		return err
	}
	log := quietLogger{}
	be := sqlite.NewSqliteBackend(sqlite.NewSqliteOptions(dsn), log)
	executor := task.NewTaskExecutor(r)
	d.worker = backend.NewTaskHubWorker(be,
		backend.NewOrchestrationWorker(be, executor, log),
		backend.NewActivityTaskWorker(be, executor, log), log)
	d.client = backend.NewTaskHubClient(be)
	return d.worker.Start(context.Background())
}

func orchestrateEffect(ctx *task.OrchestrationContext) (any, error) {
	var in string
	if err := ctx.GetInput(&in); err != nil {
		return nil, err
	}
	var out string
	return nil, ctx.CallActivity("run", task.WithActivityInput(in)).Await(&out)
}

func runEffect(ctx task.ActivityContext) (any, error) {
	var in string
	if err := ctx.GetInput(&in); err != nil {
		return nil, err
	}
	return outcome(len(in)), nil
}

func (d *durabletaskPeer) Pair(ctx context.Context, i int) error {
	id, err := d.client.ScheduleNewOrchestration(ctx, "effect", api.WithInput(payload(i)))
	if err != nil {
		return err
	}
	_, err = d.client.WaitForOrchestrationCompletion(ctx, id)
	return err
}

func (d *durabletaskPeer) Durability() string {
	if d.full {
		return "wal FULL (not readable)"
	}
	return "delete FULL (the driver's default)"
}

func (d *durabletaskPeer) Close() error { return d.worker.Shutdown(context.Background()) }

// quietLogger says nothing; the library's own writes every step to stderr.
type quietLogger struct{}

func (quietLogger) Debug(...any)          {}
func (quietLogger) Debugf(string, ...any) {}
func (quietLogger) Info(...any)           {}
func (quietLogger) Infof(string, ...any)  {}
func (quietLogger) Warn(...any)           {}
func (quietLogger) Warnf(string, ...any)  {}
func (quietLogger) Error(...any)          {}
func (quietLogger) Errorf(string, ...any) {}
