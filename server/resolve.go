package server

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/journal"
)

// Uncertain is a key that was begun and whose end was not recorded.
type Uncertain struct {
	Identity
	Request string    // "POST /v1/charges"
	Begun   time.Time // by the store's clock
	Why     string    // a word or two
}

// Uncertain iterates over the uncertain keys, oldest first. An error ends the
// iteration.
func (s *Store) Uncertain(ctx context.Context) iter.Seq2[Uncertain, error] {
	return func(yield func(Uncertain, error) bool) {
		for cursor := ""; ; {
			page, next, err := s.uncertainPage(ctx, cursor)
			if err != nil {
				yield(Uncertain{}, err)
				return
			}
			for _, u := range page {
				if !yield(u, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			cursor = next
		}
	}
}

func (s *Store) uncertainPage(ctx context.Context, cursor string) ([]Uncertain, string, error) {
	if !s.enter() {
		return nil, "", errClosed
	}
	defer s.work.Done()
	page, next, err := s.keeps.uncertain(ctx, cursor)
	if err != nil {
		return nil, "", fmt.Errorf("idem/server: reading the uncertain keys: %w", err)
	}
	kept := page[:0]
	for _, u := range page {
		if !s.inFlight(u.Identity) {
			kept = append(kept, u)
		}
	}
	return kept, next, nil
}

// Resolve settles an uncertain key after somebody found out what became of it.
// Succeeded: it happened, and r.Result is handed out as a 200 of JSON (nil: as a
// 204) to whoever asks. Failed: it has not happened and can no longer happen; the
// key is free. InDoubt only leaves r.Note. r.Note says who found out, and how.
//
// A key that is executed, here or by another living process, or that is not
// uncertain, is not resolved, and the error says so.
func (s *Store) Resolve(ctx context.Context, id Identity, r idem.Resolution) error {
	switch {
	case r.State != idem.Succeeded && r.State != idem.Failed && r.State != idem.InDoubt:
		return fmt.Errorf("idem/server: resolving key %q: Resolution.State is %s: say Succeeded, Failed or InDoubt", id.Key, r.State)
	case r.State != idem.Succeeded && r.Result != nil:
		return fmt.Errorf("idem/server: resolving key %q as %s: only Succeeded has a Result", id.Key, r.State)
	case !s.enter():
		return fmt.Errorf("resolving key %q: %w", id.Key, errClosed)
	}
	defer s.work.Done()
	if id.Route == "" {
		id.Route = defaultRoute
	}
	f, leads := s.join(id)
	if !leads {
		return fmt.Errorf("idem/server: key %q is being executed or asked for: try again", id.Key)
	}
	// Who asks meanwhile waits, and then looks it up.
	defer s.lookedUp(id, f, nil, context.Canceled)
	if err := s.keeps.resolve(ctx, id, s.clock.now(), r); err != nil {
		return fmt.Errorf("idem/server: resolving key %q: %w", id.Key, err)
	}
	return nil
}

var errNotUncertain = errors.New("there is no such uncertain key: look at the route, the scope and the key")

// resultReply is what a Resolution's result is handed out as.
func resultReply(result []byte) *reply {
	if result == nil {
		return &reply{status: http.StatusNoContent, header: http.Header{}}
	}
	return &reply{status: http.StatusOK, header: http.Header{"Content-Type": {"application/json"}}, body: result}
}

const uncertainPage = 64

// uncertain implements keeper.
func (k *journalKeeper) uncertain(ctx context.Context, cursor string) ([]Uncertain, string, error) {
	filter := idem.Filter{States: []idem.State{idem.Pending, idem.InDoubt}}
	records, next, err := k.journal.Page(ctx, filter, cursor, uncertainPage)
	if err != nil {
		return nil, "", err
	}
	var page []Uncertain
	for _, rec := range records {
		if rec.Terms.Contract != journalContract || standingOf(rec).position != uncertain {
			continue
		}
		request, _ := decodeRequest(rec.Head)
		u := Uncertain{
			Identity: Identity{Route: rec.Operation.Name, Scope: rec.Operation.Scope, Key: rec.Operation.ID},
			Request:  request, Begun: rec.CreatedAt, Why: "owner died",
		}
		if n := len(rec.Changes); n > 0 && rec.Summary().State == idem.InDoubt {
			u.Why = rec.Changes[n-1].Reason
		}
		page = append(page, u)
	}
	return page, next, nil
}

// resolve implements keeper.
func (k *journalKeeper) resolve(ctx context.Context, id Identity, now time.Time, r idem.Resolution) error {
	rec, err := k.find(ctx, id)
	if err != nil {
		return err
	}
	if rec == nil {
		return errNotUncertain
	}
	if standingOf(rec).position != uncertain {
		return errors.New("a living process executes it: wait for its end, or stop that process")
	}
	if r.State == idem.InDoubt {
		return k.journal.Audit(ctx, journal.AuditEntry{Key: rec.Key, At: now, Reason: "resolved in doubt", Text: r.Note})
	}
	st := rec.Summary()
	st.Version++
	st.Takeovers = 0
	change := &journal.Change{Key: rec.Key, Kind: journal.Resolved, At: now, Reason: "resolved", Note: r.Note}
	if r.State == idem.Succeeded {
		st.State, st.Failure = idem.Succeeded, journal.NotFailed
		kept := resultReply(r.Result)
		change.Reply = &journal.Reply{Status: kept.status, Proto: "HTTP/1.1", Header: kept.header, Body: kept.body, Size: int64(len(kept.body))}
	} else {
		st.State, st.Failure, st.MayHaveExecuted = idem.Failed, journal.FailedByResolver, false
	}
	change.Summary = st
	conflict, _, err := k.journal.Change(ctx, change)
	ok := conflict == journal.NoConflict
	if err == nil && !ok {
		err = errors.New("it changed meanwhile: look at it again")
	}
	return err
}

// find is the open record of a key.
func (k *journalKeeper) find(ctx context.Context, id Identity) (*journal.Record, error) {
	filter := idem.Filter{States: []idem.State{idem.Pending, idem.InDoubt}, Scope: id.Scope, Operation: id.Route, ID: id.Key}
	for cursor := ""; ; {
		page, next, err := k.journal.Page(ctx, filter, cursor, uncertainPage)
		if err != nil {
			return nil, err
		}
		for _, rec := range page {
			if rec.Operation == id.operation() { // an empty scope selects any
				return rec, nil
			}
		}
		if next == "" {
			return nil, nil
		}
		cursor = next
	}
}
