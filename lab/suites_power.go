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
			t, err := run(ctx, l.seed, s.of(quick, push, nightly))
			return tallied(t), err
		}
	}
	return []suite{
		{"power loss", images(in.Images, 1_500, 20_000, 1_000_000)},
		{"power loss during recovery", images(in.Recoveries, 500, 5_000, 100_000)},
		{"kill, then power loss", images(in.Kills, 500, 5_000, 100_000)},
		{"disk faults, then power loss", images(in.DiskFaults, 500, 5_000, 100_000)},
		{"damaged journals", func(ctx context.Context, s scale) (counts, error) { return l.losses(ctx, in, s.of(40, 400, 10_000)) }},
		{"negative controls", func(ctx context.Context, s scale) (counts, error) { return l.controls(ctx, in) }},
	}
}

func (l lab) controls(ctx context.Context, in power.Lab) (counts, error) {
	all, err := in.Controls(ctx, l.seed, 10_000)
	n := counts{unit: "controls", tried: len(all), detail: "each has to be caught"}
	for _, c := range all {
		if !c.Caught {
			n.broken++
			n.found = append(n.found, fmt.Sprintf("%s was not caught in %d images", c.Name, c.Tally.Booted))
		}
	}
	return n, err
}

// losses counts what was lost in silence.
func (l lab) losses(ctx context.Context, in power.Lab, each int) (counts, error) {
	all, err := in.Losses(ctx, l.seed, each)
	n := counts{unit: "journals"}
	var parts []string
	for _, loss := range all {
		n.tried += loss.Tried
		n.broken += len(loss.Silent)
		parts = append(parts, fmt.Sprintf("%s: loud %d, silent %d, known %d", loss.Name, loss.Loud, len(loss.Silent), len(loss.Known)))
		for _, c := range loss.Silent {
			n.found = append(n.found, c.String())
		}
	}
	n.detail = strings.Join(parts, "; ")
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
	n.detail = strings.Join(parts, ", ")
	for _, c := range t.Cases {
		n.found = append(n.found, c.String())
	}
	return n
}
