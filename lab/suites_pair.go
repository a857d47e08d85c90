//go:build linux && cgo

package main

import (
	"context"

	"github.com/idem-go/idem/lab/pair"
)

// pairSuites kill the client and the server's middleware, which run together.
func (l lab) pairSuites() []suite {
	return []suite{
		{"kill -9, server or client", l.pairs},
		{"negative controls of the server", l.pairControls},
	}
}

func (l lab) pairs(ctx context.Context, s scale) (counts, error) {
	t, err := pair.Plan{Rounds: l.of(s, 20, 1_000, 50_000), Kept: l.kept}.Run(ctx, l.seed)
	if t == nil {
		return counts{}, err
	}
	return counts{unit: "rounds", tried: t.Rounds(), detail: []string{t.String()}, broken: t.Bad, found: t.Cases}, err
}

func (l lab) pairControls(ctx context.Context, _ scale) (counts, error) {
	all, err := pair.Controls(ctx, l.seed, 2_000)
	n := counts{unit: "controls", tried: len(all)}
	for _, c := range all {
		n.control(c.Name, c.Caught, c.Tally.Rounds(), "rounds")
	}
	return n, err
}
