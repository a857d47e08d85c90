package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

func key(name string, callers int) string { return fmt.Sprintf("%s/%d", name, callers) }

// asked says whether -only lets a configuration in; the reference is always in.
func (d *driver) asked(e entry) bool {
	if d.opt.only == "" || e.name == d.opt.ref {
		return true
	}
	for _, part := range strings.Split(d.opt.only, ",") {
		if strings.Contains(e.name, part) {
			return true
		}
	}
	return false
}

// pick gives the configurations of some groups that this run asked for.
func (d *driver) pick(groups ...group) []entry {
	var list []entry
	for _, e := range subjects() {
		if slices.Contains(groups, e.group) && d.asked(e) {
			list = append(list, e)
		}
	}
	return list
}

// rounds runs the configurations in turn, so many times, for each number of callers. Each round starts with another
// one and every second goes backwards, so that a machine that drifts wrongs nobody in particular.
func (d *driver) rounds(ctx context.Context, list []entry, callers []int, with spec) error {
	for _, n := range callers {
		for r := range d.opt.rounds {
			order := slices.Clone(list)
			if len(order) > 0 {
				order = slices.Concat(order[r%len(order):], order[:r%len(order)])
			}
			if r%2 == 1 {
				slices.Reverse(order)
			}
			for _, e := range order {
				s := with
				s.Kind, s.Subject, s.Callers = "pairs", e.name, n
				s.Warmup, s.Measure, s.Profile = d.opt.warmup, d.opt.measure, d.opt.profile
				res, err := d.inFresh(ctx, s)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if err != nil {
					res.Err = err.Error()
					d.progress("round %d, %d callers: %-24s failed: %v", r+1, n, e.name, err)
				} else {
					d.progress("round %d, %d callers: %-24s %9.0f pairs/s  p99 %v", r+1, n, e.name, res.rate(), res.P99)
				}
				d.results[key(e.name, n)] = append(d.results[key(e.name, n)], res)
			}
		}
		if d.opt.strace {
			if err := d.countSyncs(ctx, list, n, with); err != nil {
				return err
			}
		}
	}
	return nil
}

// inFresh runs one child in an empty folder.
func (d *driver) inFresh(ctx context.Context, s spec) (result, error) {
	dir, remove, err := d.fresh(s.Subject)
	if err != nil {
		return result{}, err
	}
	defer remove()
	s.Dir = dir
	return d.child(ctx, s)
}

// typical is the result whose rate is the median of a configuration's rounds; false if none succeeded.
func (d *driver) typical(name string, callers int) (result, bool) {
	var good []result
	for _, r := range d.results[key(name, callers)] {
		if r.Err == "" {
			good = append(good, r)
		}
	}
	if len(good) == 0 {
		return result{}, false
	}
	slices.SortFunc(good, func(a, b result) int {
		switch {
		case a.rate() < b.rate():
			return -1
		case a.rate() > b.rate():
			return 1
		}
		return 0
	})
	return good[len(good)/2], true
}

// ratio is the median, over the rounds, of the reference's rate divided by this one's in the same round.
func (d *driver) ratio(ref, name string, callers int) (float64, bool) {
	refs, own := d.results[key(ref, callers)], d.results[key(name, callers)]
	var list []float64
	for r := range min(len(refs), len(own)) {
		if refs[r].Err == "" && own[r].Err == "" {
			list = append(list, refs[r].rate()/own[r].rate())
		}
	}
	return median(list)
}

func median(list []float64) (float64, bool) {
	if len(list) == 0 {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(list))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2, true
	}
	return sorted[len(sorted)/2], true
}
