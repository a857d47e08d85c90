//go:build linux && cgo

package kill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/idem-go/idem/idemtest"
)

// Hits counts how often each kind of fault was met, by its name.
type Hits map[string]int

// Add adds others to them.
func (h Hits) Add(others Hits) {
	for name, n := range others {
		h[name] += n
	}
}

// Rarest is the kind that was met least, of those that were met at all.
func (h Hits) Rarest() (name string, n int) {
	for kind, hits := range h {
		if name == "" || hits < n || (hits == n && kind < name) {
			name, n = kind, hits
		}
	}
	return name, n
}

// String is how many kinds there are, and the rarest.
func (h Hits) String() string {
	name, n := h.Rarest()
	return fmt.Sprintf("%d fault kinds (the rarest, %s, %d times)", len(h), name, n)
}

// Missing are the kinds that were met less often than that.
func (h Hits) Missing(each int) (missing []string) {
	for _, name := range FaultNames() {
		if h[name] < each {
			missing = append(missing, name)
		}
	}
	return missing
}

// strays are the places where no server is that speaks to agents, in the order of
// work.Unreachable.
func strays() []string { return []string{"connection refused", "no such host", "bad certificate"} }

// FaultNames are all kinds of faults that agents meet: those of the server, and the
// servers that cannot be reached.
func FaultNames() []string {
	names := strays()
	for _, k := range idemtest.FaultKinds() {
		names = append(names, k.String())
	}
	return names
}

// faults are what this world's server has in store.
func (w *world) faults() []idemtest.FaultKind {
	if len(w.Only) > 0 {
		return w.Only
	}
	but := []idemtest.FaultKind{idemtest.KeyExpired} // the far side's broken promise
	if w.keyless || w.Deaf {
		// Two executions by the network's own doing, and a success that only the record
		// of a key tells of.
		but = append(but, idemtest.Duplicate, idemtest.InFlightOverlap, idemtest.Empty200)
	}
	return slices.DeleteFunc(idemtest.FaultKinds(), func(k idemtest.FaultKind) bool { return slices.Contains(but, k) })
}

const (
	topUpRounds = 40 // of one go
	topUpGoes   = 50
)

// TopUp kills processes over servers that have nothing in store but what was met
// less often than each, until every kind was. It adds to hits. A server that forgets
// a key is among them: what it does twice is its own doing, all else is judged.
func TopUp(ctx context.Context, seed uint64, hits Hits, each int) (*Tally, error) {
	all := newTally()
	for range topUpGoes {
		missing := hits.Missing(each)
		if len(missing) == 0 || ctx.Err() != nil {
			return all, ctx.Err()
		}
		p := Plan{Processes: 1, Rounds: topUpRounds}
		for _, name := range missing {
			if k, err := idemtest.ParseFaultKind(name); err == nil {
				p.Only = append(p.Only, k)
			}
		}
		t, err := p.Run(ctx, seed)
		if err != nil {
			return all, err
		}
		seed += topUpRounds
		hits.Add(t.Hits)
		all.add(t)
	}
	return all, errors.New("these faults are hardly ever met: " + strings.Join(hits.Missing(each), ", "))
}

// add adds what another tally has.
func (t *Tally) add(other *Tally) {
	t.Rounds += other.Rounds
	t.Worlds += other.Worlds
	t.Ended += other.Ended
	t.Effects += other.Effects
	t.Bad += other.Bad
	t.Hits.Add(other.Hits)
	t.Cases = append(t.Cases, other.Cases...)
	for place, n := range other.Points {
		t.Points[place] += n
	}
	for rule, n := range other.Broken {
		t.Broken[rule] += n
	}
}
