//go:build linux && cgo

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/idem-go/idem/lab/history"
	"github.com/idem-go/idem/lab/kill"
)

// killSuites kill processes.
func (l lab) killSuites() []suite {
	rounds := func(p kill.Plan, quick, push, nightly int) func(context.Context, scale) (counts, error) {
		return func(ctx context.Context, s scale) (counts, error) {
			p.Rounds, p.Kept = l.of(s, quick, push, nightly), l.kept
			t, err := p.Run(ctx, l.seed)
			if t != nil {
				l.hits.Add(t.Hits)
			}
			return killed(t), err
		}
	}
	return []suite{
		{"kill -9, 1 process", rounds(kill.Plan{Processes: 1}, 20, 1_000, 50_000)},
		{"kill -9, 3 processes", rounds(kill.Plan{Processes: 3}, 20, 1_000, 50_000)},
		{"kill at a system call", rounds(kill.Plan{Processes: 1, Calls: true}, 20, 300, 10_000)},
		{"kill -9, each kind of fault", l.faultKinds},
		{"negative controls of the kills", l.killControls},
	}
}

// faultKinds looks at how often the suites before it met each kind of fault, and
// goes on with those that were rare.
func (l lab) faultKinds(ctx context.Context, s scale) (counts, error) {
	each := 100 // in each part too
	if s == quick {
		each = 1
	}
	t, err := kill.TopUp(ctx, l.seed+1_000_000, l.hits, each)
	missing := l.hits.Missing(each)
	n := counts{unit: "kinds", tried: len(kill.FaultNames()), broken: t.Bad + len(missing), found: t.Cases}
	n.detail = []string{fmt.Sprintf("%v; %d rounds more, for those that had been met less than %d times", l.hits, t.Rounds, each)}
	for _, name := range missing {
		n.found = append(n.found, fmt.Sprintf("%s was met %d times, %d are wanted", name, l.hits[name], each))
	}
	return n, err
}

func (l lab) killControls(ctx context.Context, _ scale) (counts, error) {
	all, err := kill.Controls(ctx, l.seed, 400)
	n := counts{unit: "controls", tried: len(all)}
	for _, c := range all {
		n.control(c.Name, c.Caught, c.Tally.Rounds, "rounds")
	}
	return n, err
}

func killed(t *kill.Tally) counts {
	if t == nil {
		return counts{}
	}
	n := counts{unit: "rounds", tried: t.Rounds, broken: t.Bad, found: t.Cases}
	var parts []string
	for _, r := range history.Rules() {
		parts = append(parts, fmt.Sprintf("%s %d", r, t.Broken[r]))
	}
	n.detail = []string{t.String(), strings.Join(parts, ", ")}
	return n
}
