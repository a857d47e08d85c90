//go:build linux && cgo

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/idem-go/idem/lab/power"
)

// powerSuites cut the power.
func (l lab) powerSuites() []suite {
	in := power.Lab{Kept: l.kept}
	images := func(run func(context.Context, uint64, int) (*power.Tally, error), quick, push, nightly int) func(context.Context, scale) (counts, error) {
		return func(ctx context.Context, s scale) (counts, error) {
			t, err := run(ctx, l.seed, l.of(s, quick, push, nightly))
			return tallied(t), err
		}
	}
	return []suite{
		{"power loss", images(in.Images, 400, 20_000, 1_000_000)},
		{"power loss during recovery", images(in.Recoveries, 150, 5_000, 100_000)},
		{"kill, then power loss", images(in.Kills, 150, 5_000, 100_000)},
		{"disk faults, then power loss", images(in.DiskFaults, 150, 5_000, 100_000)},
		{"damaged journals", func(ctx context.Context, s scale) (counts, error) { return l.losses(ctx, in, l.of(s, 16, 400, 10_000)) }},
		{"negative controls of the power losses", func(ctx context.Context, s scale) (counts, error) { return l.controls(ctx, in) }},
	}
}

func (l lab) controls(ctx context.Context, in power.Lab) (counts, error) {
	all, err := in.Controls(ctx, l.seed, 40_000)
	n := counts{unit: "controls", tried: len(all)}
	for _, c := range all {
		n.control(c.Name, c.Caught, c.Tally.Booted, "images")
	}
	return n, err
}

// losses counts what was lost in silence.
func (l lab) losses(ctx context.Context, in power.Lab, each int) (counts, error) {
	all, err := in.Losses(ctx, l.seed, each)
	n := counts{unit: "journals"}
	for _, loss := range all {
		n.tried += loss.Tried
		n.broken += len(loss.Silent)
		n.detail = append(n.detail, fmt.Sprintf("%s: %d harmless, %d loud, %d lost in silence, %d more in a known gap", loss.Name, loss.Harmless, loss.Loud, len(loss.Silent), len(loss.Known)))
		for _, c := range loss.Silent {
			n.found = append(n.found, c.String())
		}
	}
	return n, err
}

func tallied(t *power.Tally) counts {
	if t == nil {
		return counts{}
	}
	n := counts{unit: "images", tried: t.Booted, broken: t.Bad}
	parts := []string{fmt.Sprintf("%d runs", t.Runs)}
	for _, r := range power.Rules() {
		parts = append(parts, fmt.Sprintf("%s %d", r, t.Broken[r]))
	}
	n.detail = []string{strings.Join(parts, ", ")}
	for _, c := range t.Cases {
		n.found = append(n.found, c.String())
	}
	return n
}
