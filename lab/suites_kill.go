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
			p.Rounds, p.Kept = s.of(quick, push, nightly), l.kept
			t, err := p.Run(ctx, l.seed)
			return killed(t), err
		}
	}
	return []suite{
		{"kill -9, 1 process", rounds(kill.Plan{Processes: 1}, 60, 1_000, 50_000)},
		{"kill -9, 3 processes", rounds(kill.Plan{Processes: 3}, 60, 1_000, 50_000)},
		{"kill at a system call", rounds(kill.Plan{Processes: 1, Calls: true}, 40, 300, 10_000)},
		{"negative controls of the kills", l.killControls},
	}
}

func (l lab) killControls(ctx context.Context, _ scale) (counts, error) {
	all, err := kill.Controls(ctx, l.seed, 400)
	n := counts{unit: "controls", tried: len(all), detail: "each has to be caught"}
	for _, c := range all {
		if !c.Caught {
			n.broken++
			n.found = append(n.found, fmt.Sprintf("%s was not caught in %d rounds", c.Name, c.Tally.Rounds))
		}
	}
	return n, err
}

func killed(t *kill.Tally) counts {
	if t == nil {
		return counts{}
	}
	n := counts{unit: "rounds", tried: t.Rounds, broken: t.Bad, found: t.Cases}
	parts := []string{t.String()}
	for _, r := range history.Rules() {
		parts = append(parts, fmt.Sprintf("%s %d", r, t.Broken[r]))
	}
	n.detail = strings.Join(parts, ", ")
	return n
}
