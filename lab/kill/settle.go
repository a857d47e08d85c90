//go:build linux && cgo

package kill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/lab/history"
)

// settle is what a careful agent does after the storm: it recovers, asks for every
// order once more, and everything that was learnt is judged.
func (w *world) settle(ctx context.Context) ([]history.Violation, error) {
	if err := w.server.Script(make([]idemtest.Fault, 4096)...); err != nil { // no more faults
		return nil, err
	}
	var journal idem.Journal
	client, err := open(w.journal(), w.keyless, newBase(), func(j idem.Journal) idem.Journal { journal = j; return j })
	if err != nil {
		return nil, err
	}
	found, err := w.judge(ctx, client, journal)
	return found, errors.Join(err, client.Close())
}

func (w *world) judge(ctx context.Context, client *idem.Client, journal idem.Journal) ([]history.Violation, error) {
	report, err := client.Recover(ctx)
	if err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	if report.Skipped > 0 {
		return nil, fmt.Errorf("recover left %d intents as they were, and nobody else lives", report.Skipped)
	}
	for i := range w.asked {
		if err := w.askAgain(ctx, client, i); err != nil {
			return nil, err
		}
	}
	intents, err := history.Read(ctx, journal)
	if err != nil {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	ledger := w.server.Ledger()
	retention := 24 * time.Hour
	if w.keyless {
		retention = 0
	}
	found := history.Judge(history.Run{Intents: intents, Ledger: ledger, Told: w.certain(), SameClock: true, Retention: retention})
	for _, r := range intents {
		switch st := r.Summary().State; {
		case st == idem.Pending:
			found = append(found, history.Violation{Rule: history.Lost, Key: r.Key, Text: "it is pending after all was asked for again"})
		case st == idem.InDoubt && !w.keyless && !hopeless(ledger, r.Key) && r.Summary().Takeovers <= parked:
			found = append(found, history.Violation{Rule: history.Lost, Key: r.Key, Text: "it is in doubt, though the far side keeps its key and answers"})
		}
	}
	return found, nil
}

// parked is the greatest number of takeovers with which Recover sends an intent.
const parked = 5

// hopeless tells whether the far side stored a failure that says nothing: asked
// again it says the same.
func hopeless(l idemtest.Ledger, key string) bool {
	return slices.ContainsFunc(l.Keys, func(k idemtest.KeyRecord) bool { return k.Key == key && k.Status >= 500 })
}

func (w *world) askAgain(ctx context.Context, client *idem.Client, i int) error {
	req, err := request(w.server.URL(), i)
	if err != nil {
		return err
	}
	in, err := client.Begin(ctx, idem.Operation{Name: operation, ID: orderID(i)}, req)
	if err != nil {
		return fmt.Errorf("begin %s: %w", orderID(i), err)
	}
	resp, err := in.Do(ctx)
	switch {
	case err == nil:
	case errors.Is(err, idem.ErrInDoubt), errors.Is(err, idem.ErrOutcomeTruncated):
		return nil
	default:
		return fmt.Errorf("do %s: %w", orderID(i), err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	w.told = append(w.told, history.Tell{Kind: history.Answered, Agent: -1, ID: orderID(i), Key: in.Key(), Status: resp.StatusCode, Sum: history.Sum(body)})
	return nil
}

// certain leaves out the robberies whose victim may have died just then.
func (w *world) certain() []history.Tell {
	return slices.DeleteFunc(slices.Clone(w.told), func(t history.Tell) bool {
		return t.Kind == history.Stolen && slices.ContainsFunc(w.deaths, func(at time.Time) bool {
			since := at.Sub(t.At)
			return since > -time.Second && since < time.Second
		})
	})
}

// count adds this world to the tally, and keeps it where it broke a rule.
func (w *world) count(found []history.Violation) (bad bool, err error) {
	t := w.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Worlds++
	t.Rounds += w.killed
	t.Ended += w.ended
	for place, n := range w.places {
		t.Points[place] += n
	}
	t.Effects += len(w.server.Effects())
	for _, a := range w.server.Arrivals() {
		if a.Fault != idemtest.NoFault {
			t.Hits[a.Fault.String()]++
		}
	}
	for _, told := range w.told {
		if told.Kind == history.Strayed {
			t.Hits[told.Note]++
		}
	}
	if len(found) == 0 {
		return false, nil
	}
	t.Bad++
	seen := map[history.Rule]bool{}
	for _, v := range found {
		if !seen[v.Rule] {
			t.Broken[v.Rule]++
		}
		seen[v.Rule] = true
		if len(t.Cases) < 20 {
			t.Cases = append(t.Cases, fmt.Sprintf("seed %d, %d processes: %s", w.seed, w.Processes, v))
		}
	}
	if w.Kept == "" {
		return true, nil
	}
	return true, os.CopyFS(filepath.Join(w.Kept, fmt.Sprint("kill-", w.seed)), os.DirFS(w.folder))
}
