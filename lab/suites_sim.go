//go:build linux && cgo

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/idem-go/idem/lab/sim"
)

// simSuites simulate days in milliseconds.
func (l lab) simSuites() []suite {
	return []suite{
		{"simulation", l.simulate},
		{"negative controls of the simulation", l.simControls},
	}
}

func (l lab) simulate(ctx context.Context, s scale) (counts, error) {
	t, err := sim.Plan{From: l.seed, Seeds: l.of(s, 200, 20_000, 1_000_000)}.Run(ctx)
	n := counts{unit: "seeds", tried: t.Seeds, detail: []string{t.String()}, broken: t.Broken}
	for _, r := range t.Bad {
		n.found = append(n.found, fmt.Sprintf("seed %d: %s (go test ./lab/sim -run TestSeeds -v -seed %d)", r.Seed, strings.Join(r.Found, "; "), r.Seed))
		if l.kept != "" && err == nil {
			err = os.WriteFile(filepath.Join(l.kept, fmt.Sprintf("sim-%d.txt", r.Seed)), []byte(r.Trace), 0o600)
		}
	}
	return n, err
}

func (l lab) simControls(ctx context.Context, _ scale) (counts, error) {
	all, err := sim.Controls(ctx, l.seed, 4_000)
	n := counts{unit: "controls", tried: len(all)}
	for _, c := range all {
		n.control(c.Name, c.Caught, int(max(c.Tally.Lowest, l.seed)-l.seed)+1, "seeds")
	}
	return n, err
}
