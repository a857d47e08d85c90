package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	growthCallers  = 64
	pendingListed  = 100
	recoveryTurns  = 7 // how often a journal is opened and listed
	replayCallers  = 64
	prefillCallers = 64
)

// tableGrowth measures the same work on journals that already hold settled intents.
func (d *driver) tableGrowth(ctx context.Context) error {
	sizes := []int{0, d.opt.rows / 10, d.opt.rows}
	bases := make([]string, len(sizes))
	for i, n := range sizes {
		dir, err := d.filled(ctx, n, false)
		if err != nil {
			return err
		}
		bases[i] = dir
	}
	for r := range d.opt.rounds {
		for i := range sizes {
			i = (i + r) % len(sizes)
			res, err := d.onCopy(ctx, bases[i], spec{
				Kind: "pairs", Subject: "idem", Callers: growthCallers, First: d.opt.rows,
				Warmup: d.opt.warmup, Measure: d.opt.measure,
			})
			if err != nil {
				return err
			}
			d.progress("round %d, %d settled: %9.0f pairs/s", r+1, sizes[i], res.rate())
			k := key(fmt.Sprintf("growth-%d", sizes[i]), growthCallers)
			d.results[k] = append(d.results[k], res)
		}
	}
	t := table{title: fmt.Sprintf("(d) Growth: idem at %s", plural(growthCallers)),
		head: []string{"settled intents", "pairs/s", "p50", "p99", "of the empty journal's", "file"}}
	for i, n := range sizes {
		name := fmt.Sprintf("growth-%d", n)
		res, _ := d.typical(name, growthCallers)
		t.add(count(n), number(res.rate()), short(res.P50), short(res.P99),
			times(d.inverse(name, "growth-0", growthCallers)), megabytes(bases[i]))
	}
	t.print()
	return nil
}

// inverse is how a configuration's rate stands to the reference's.
func (d *driver) inverse(name, ref string, callers int) (float64, bool) {
	v, ok := d.ratio(ref, name, callers)
	return 1 / v, ok
}

// tableRecovery times what a program does first after a crash, on a big journal.
func (d *driver) tableRecovery(ctx context.Context) error {
	t := table{
		title: fmt.Sprintf("(e) Recovery: open, and list what is pending among %s settled intents", count(d.opt.rows)),
		note:  "Each time a fresh process; the files are in the page cache. The first opening after the crash also reads the write-ahead log that the dead process left.",
		head:  []string{"", "first after kill -9", "median of the next", "of that, open", "slowest"},
	}
	for _, stuck := range []bool{false, true} {
		base, err := d.filled(ctx, d.opt.rows, stuck)
		if err != nil {
			return err
		}
		left := spec{Kind: "leave-pending", Dir: base, Rows: pendingListed, First: 1}
		if _, err := d.child(ctx, left); err != nil {
			return err
		}
		label, want := fmt.Sprintf("%d pending at the end", pendingListed), pendingListed
		if stuck {
			label, want = label+", one at the very start", want+1
		}
		var opens, times []time.Duration
		for range recoveryTurns {
			res, err := d.child(ctx, spec{Kind: "list-pending", Dir: base, Rows: want})
			if err != nil {
				return err
			}
			opens, times = append(opens, res.Samples[0]), append(times, res.Samples[1])
		}
		d.progress("%s: %v", label, times)
		first, rest := times[0], slices.Sorted(slices.Values(times[1:]))
		open := slices.Sorted(slices.Values(opens[1:]))
		t.add(label, short(first), short(rest[len(rest)/2]), short(open[len(open)/2]), short(rest[len(rest)-1]))
	}
	t.print()
	return nil
}

// tableTakeOver times how long an intent waits after its owner was killed.
func (d *driver) tableTakeOver(ctx context.Context) error {
	dir, remove, err := d.fresh("take-over")
	if err != nil {
		return err
	}
	defer remove()
	d.progress("%d take-overs", d.opt.kills)
	res, err := d.child(ctx, spec{Kind: "take-over", Dir: dir, Rows: d.opt.kills})
	if err != nil {
		return err
	}
	all := slices.Sorted(slices.Values(res.Samples))
	t := table{title: "(f) Take-over: from kill -9 of the owner to the outcome stored by another process",
		head: []string{"take-overs", "p50", "p99", "slowest"}}
	t.add(fmt.Sprint(len(all)), short(all[len(all)/2]), short(all[len(all)*99/100]), short(all[len(all)-1]))
	t.print()
	return nil
}

// tableReplay measures answers from the journal.
func (d *driver) tableReplay(ctx context.Context) error {
	entries := d.pick(groupReplay)
	if err := d.rounds(ctx, entries, []int{1, replayCallers}, spec{}); err != nil {
		return err
	}
	t := table{title: "(h) Replay of settled intents",
		head: []string{"", "", "replays/s", "p50", "p99", "allocations", "syncs"}}
	for _, e := range entries {
		for _, n := range []int{1, replayCallers} {
			r, ok := d.typical(e.name, n)
			if !ok {
				t.add(e.label, plural(n), "failed", "–", "–", "–", "–")
				continue
			}
			t.add(e.label, plural(n), number(r.rate()), short(r.P50), short(r.P99), fmt.Sprintf("%.1f", r.Mallocs), d.syncCell(e.name, n))
		}
	}
	t.print()
	return nil
}

// filled gives the folder of a journal with so many settled intents, made once through the library. With stuck, an
// intent that nobody finishes was begun before all of them.
func (d *driver) filled(ctx context.Context, rows int, stuck bool) (string, error) {
	dir := filepath.Join(d.dir, fmt.Sprintf("filled-%d-%v", rows, stuck))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	if stuck {
		if _, err := d.child(ctx, spec{Kind: "leave-pending", Dir: dir, Rows: 1}); err != nil {
			return "", err
		}
	}
	res, err := d.child(ctx, spec{Kind: "prefill", Dir: dir, Rows: rows, Callers: prefillCallers})
	if err != nil {
		return "", fmt.Errorf("a journal of %d intents: %w", rows, err)
	}
	d.progress("made a journal of %d settled intents at %.0f pairs/s", rows, res.rate())
	return dir, nil
}

// onCopy runs a child on a copy of a folder, so that the next round meets the same journal.
func (d *driver) onCopy(ctx context.Context, base string, s spec) (result, error) {
	dir, remove, err := d.fresh("copy")
	if err != nil {
		return result{}, err
	}
	defer remove()
	if err := copyFolder(base, dir); err != nil {
		return result{}, err
	}
	s.Dir = dir
	return d.child(ctx, s)
}

// copyFolder copies a journal that nobody has open, and waits until the copy is on disk: what the system still has to
// write would be charged to the run.
func copyFolder(from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.OpenFile(filepath.Join(to, e.Name()), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer out.Close()
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
		return out.Sync()
	})
}

func megabytes(dir string) string {
	var sum int64
	filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // a file that went meanwhile has no size
		}
		if info, err := e.Info(); err == nil && !e.IsDir() {
			sum += info.Size()
		}
		return nil
	})
	return fmt.Sprintf("%.0f MiB", float64(sum)/(1<<20))
}
