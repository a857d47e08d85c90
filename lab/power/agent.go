//go:build linux && cgo

package power

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/idem-go/idem"
)

// agent is the program that has the journal: it follows a plan, and writes down
// what the library tells it.
type agent struct {
	folder string
	far    *farSide
	plan   plan
	mark   func(event)
	rec    *recorder                                                    // nil: nobody writes it down
	open   func(path string, opts ...idem.Option) (*idem.Client, error) // nil: idem.Open
	faulty bool                                                         // the disk fails: errors are part of it

	client *idem.Client
	mu     sync.Mutex
	found  []Violation     // rules that were broken in the run itself
	known  map[string]bool // orders whose outcome this process knows and could not record
}

func (a *agent) bad(rule Rule, format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.found = append(a.found, Violation{rule, fmt.Sprintf(format, args...)})
}

const farURL = "http://far.test/"

// quickly tries three times and hardly waits.
func quickly() idem.Retry {
	return idem.Retry{MaxAttempts: 3, MinBackoff: time.Nanosecond, MaxBackoff: time.Nanosecond}
}

func (a *agent) start() error {
	opts := []idem.Option{
		idem.WithTransport(a.far),
		idem.WithPolicy(string(charge), idem.Policy{Contract: idem.Standard(), Retry: quickly()}),
		idem.WithPolicy(string(post), idem.Policy{Retry: quickly()}),
		idem.WithPolicy(string(file), idem.Policy{Retry: quickly(), Reconcile: func(_ context.Context, in *idem.Intent) (idem.Resolution, error) {
			return a.far.tell(in.Operation().ID, in.Key()), nil
		}}),
	}
	if a.plan.prunes {
		opts = append(opts, idem.WithRetention(time.Nanosecond, 365*24*time.Hour))
	}
	open := a.open
	if open == nil {
		open = idem.Open
	}
	a.known = map[string]bool{}
	var err error
	if a.rec != nil {
		a.rec.opening()
	}
	if a.client, err = open(filepath.Join(a.folder, journalName), opts...); err != nil {
		a.client = nil
		return err
	}
	if a.rec != nil {
		a.rec.opened()
	}
	return nil
}

func (a *agent) stop() error {
	if a.client == nil {
		return nil
	}
	err := a.client.Close()
	a.client = nil
	return err
}

// follow carries the plan out, from opening the journal to closing it.
func (a *agent) follow(ctx context.Context) error {
	if err := a.start(); err != nil && !a.faulty {
		return err
	}
	for i, s := range a.plan.steps {
		if a.client == nil { // a disk that fails did not let it be opened
			return nil
		}
		if err := a.take(ctx, s); err != nil && !a.faulty {
			return errors.Join(fmt.Errorf("step %d: %w", i, err), a.stop())
		}
	}
	if err := a.stop(); err != nil && !a.faulty {
		return err
	}
	return nil
}

func (a *agent) take(ctx context.Context, s step) error {
	switch s.verb {
	case doOrder, doAgain:
		return a.do(ctx, s.orders[0])
	case beginOrder:
		_, err := a.begin(ctx, s.orders[0])
		return a.mayFail(s.orders[0], err)
	case doTogether:
		errs := make([]error, len(s.orders))
		var all sync.WaitGroup
		for i, o := range s.orders {
			all.Go(func() { errs[i] = a.do(ctx, o) })
		}
		all.Wait()
		return errors.Join(errs...)
	case resolve:
		return a.resolveAll(ctx)
	case recoverAll:
		_, err := a.client.Recover(ctx)
		return err
	case reopen:
		if err := a.stop(); err != nil && !a.faulty {
			return err
		}
		return a.start()
	case checkpoint:
		return copyLog(a.folder, s.how)
	case prune:
		_, err := a.client.Prune(ctx)
		return err
	default:
		_, err := a.client.Stats(ctx)
		return err
	}
}

func (o order) request() (*http.Request, error) {
	return http.NewRequest(http.MethodPost, farURL+string(o.op), strings.NewReader(o.payload))
}

func (o order) operation() idem.Operation {
	return idem.Operation{Name: string(o.op), Scope: "lab", ID: o.id, Cost: 1}
}

func (a *agent) begin(ctx context.Context, o order) (*idem.Intent, error) {
	req, err := o.request()
	if err != nil {
		return nil, err
	}
	a.mark(event{kind: asked, order: o.id})
	in, err := a.client.Begin(ctx, o.operation(), req)
	if err != nil {
		return nil, err
	}
	a.mark(event{kind: begun, order: o.id, key: in.Key()})
	return in, nil
}

// did tells whether an error is one of those that do not say that this call did
// nothing.
func did(err error) bool {
	for _, kind := range []error{idem.ErrInDoubt, idem.ErrUnrecorded, idem.ErrMaybeRecorded, idem.ErrForgotten, idem.ErrOutcomeTruncated} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// do begins an order and carries it out. Its error is one that nothing but a disk
// that fails explains.
func (a *agent) do(ctx context.Context, o order) error {
	effects, sent := len(a.far.did(o.id)), a.far.arrivals(o.id)
	in, err := a.begin(ctx, o)
	if err != nil {
		if a.far.arrivals(o.id) > sent {
			a.bad(Orphaned, "%s: sent, though Begin failed: %v", o.id, err)
		}
		return a.mayFail(o, err)
	}
	status, body, err := replyOf(in.Do(ctx))
	if a.knows(o.id) && a.far.arrivals(o.id) > sent {
		a.bad(Duplicated, "%s: sent again by a process that knows its outcome", o.id)
	}
	e := event{order: o.id, key: in.Key(), status: status, body: body}
	switch {
	case err == nil:
		e.kind = answered
	case errors.Is(err, idem.ErrUnrecorded):
		e.kind = unrecorded
		a.unrecorded(e)
	case errors.Is(err, idem.ErrInDoubt):
		e.kind = doubted
	case did(err):
		return a.mayFail(o, err)
	default:
		e.kind = nothing
		if len(a.far.did(o.id)) > effects {
			a.bad(WronglyFailed, "%s: an error that says that nothing was done, and it was: %v", o.id, err)
		}
	}
	a.mark(e)
	return nil
}

// unrecorded is an answer that the journal would not take: it is the far side's all
// the same.
func (a *agent) unrecorded(e event) {
	effects := a.far.did(e.order)
	if e.status == 0 && len(effects) > 0 || e.status == http.StatusOK && (len(effects) == 0 || effects[0].body != e.body) {
		a.bad(WrongAnswer, "%s: an unrecorded outcome (%d %q), and the far side did %v", e.order, e.status, e.body, effects)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known[e.order] = true
}

func (a *agent) knows(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known[id]
}

// mayFail is an error that has its reason in the plan, which is none, or in the
// disk.
func (a *agent) mayFail(o order, err error) error {
	if err == nil || errors.Is(err, idem.ErrForgotten) && a.plan.prunes {
		return nil
	}
	return fmt.Errorf("%s: %w", o.id, err)
}

func replyOf(resp *http.Response, err error) (int, string, error) {
	if resp == nil {
		return 0, "", err
	}
	body, bad := io.ReadAll(resp.Body)
	resp.Body.Close()
	return resp.StatusCode, string(body), errors.Join(err, bad)
}

// resolveAll is a person who asks the far side about everything in doubt.
func (a *agent) resolveAll(ctx context.Context) error {
	for in, err := range a.client.Intents(ctx, idem.Filter{States: []idem.State{idem.InDoubt}}) {
		if err != nil {
			return err
		}
		says := a.far.tell(in.Operation().ID, in.Key())
		e := event{order: in.Operation().ID, key: in.Key(), ok: says.State == idem.Succeeded, body: string(says.Result)}
		e.kind = resolving
		a.mark(e)
		if err := a.client.Resolve(ctx, in.Key(), says); err != nil {
			return err
		}
		e.kind = resolved
		a.mark(e)
	}
	return nil
}

// copyLog is another program that checkpoints the journal.
func copyLog(folder, how string) error {
	name := url.URL{Scheme: "file", Opaque: filepath.Join(folder, journalName), RawQuery: "mode=rw&_synchronous=FULL&_busy_timeout=10000"}
	db, err := sql.Open("sqlite3", name.String())
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	_, err = db.Exec("PRAGMA wal_checkpoint(" + how + ")")
	return errors.Join(err, db.Close())
}
