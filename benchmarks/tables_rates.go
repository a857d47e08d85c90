package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// measureJournals runs the floor, idem and the peers in the same rounds, so that every ratio is of one round.
func (d *driver) measureJournals(ctx context.Context) error {
	groups := []group{groupIdem}
	if strings.ContainsAny(d.opt.tables, "a") {
		groups = append(groups, groupFloor)
	}
	if strings.ContainsAny(d.opt.tables, "bg") {
		groups = append(groups, groupPeer)
	}
	return d.rounds(ctx, d.pick(groups...), d.opt.callers, spec{})
}

// measureHTTP runs everything that sends over loopback against one server process.
func (d *driver) measureHTTP(ctx context.Context) error {
	addr, stop, err := d.startServer(ctx)
	if err != nil {
		return err
	}
	defer stop()
	return d.rounds(ctx, d.pick(groupHTTP), d.opt.callers, spec{Addr: addr})
}

func (d *driver) tableFloor(context.Context) error {
	d.rates("(a) The floor: one file, the same group commit, nothing else", d.ref("idem"),
		"The last column of each group is idem's rate divided by the row's: 1 would be the floor itself.", groupFloor, groupIdem)
	return nil
}

func (d *driver) tablePeers(context.Context) error {
	d.rates("(b) Peers, the same work", d.ref("idem"),
		"The ratio is idem's rate divided by the row's; below 1 the row is faster. "+
			"What each row counts as a pair stands beside its code. Only rows that end in FULL promise, as idem does, "+
			"that what was answered is on disk; a write-ahead log at NORMAL may lose it with the power.", groupIdem, groupPeer)
	return nil
}

func (d *driver) tableHTTP(context.Context) error {
	d.rates("(c) An HTTP effect over loopback, the server in its own process", d.ref("http-idem"),
		"The ratio is idem's rate divided by the row's.", groupHTTP)
	return nil
}

// ref is what ratios are taken against, unless the run asks for another.
func (d *driver) ref(usual string) string {
	if d.opt.ref != "idem" {
		return d.opt.ref
	}
	return usual
}

// rates prints one row a configuration, for each number of callers its rate, its tail, and the reference's rate over it.
func (d *driver) rates(title, ref, note string, groups ...group) {
	t := table{title: title, note: note, head: []string{"", "set up"}}
	for _, n := range d.opt.callers {
		t.head = append(t.head, plural(n)+", pairs/s", "p50", "p99", ref+" ÷ this")
		if d.opt.strace && !slices.Contains(groups, groupHTTP) {
			t.head = append(t.head, "syncs a pair")
		}
	}
	for _, e := range d.pick(groups...) {
		row := []string{e.label, d.setUp(e)}
		for _, n := range d.opt.callers {
			if r, ok := d.typical(e.name, n); ok {
				row = append(row, number(r.rate()), short(r.P50), short(r.P99), times(d.ratio(ref, e.name, n)))
			} else {
				row = append(row, "failed", "–", "–", "–")
			}
			if d.opt.strace && !slices.Contains(groups, groupHTTP) {
				row = append(row, d.syncCell(e.name, n))
			}
		}
		t.add(row...)
	}
	t.print()
}

func (d *driver) syncCell(name string, callers int) string {
	if v, ok := d.syncs[key(name, callers)]; ok {
		return fmt.Sprintf("%.2f", v)
	}
	return "–"
}

// setUp says how durable a configuration was, as it read it back itself.
func (d *driver) setUp(e entry) string {
	text := ""
	for _, n := range d.opt.callers {
		if r, ok := d.typical(e.name, n); ok && r.Durability != "" {
			text = r.Durability
		}
	}
	if e.shipped {
		return strings.TrimSuffix("as shipped: "+text, ": ")
	}
	return text
}

// tableCost prints what a pair costs the client's process in memory and time.
func (d *driver) tableCost(context.Context) error {
	t := table{
		title: "(g) Allocations and CPU a pair",
		note: "Go's allocations and this process's user and system time; SQLite's own memory is C's and not counted. " +
			"Over HTTP the server's share is its own process's.",
		head: []string{""},
	}
	for _, n := range d.opt.callers {
		t.head = append(t.head, plural(n)+", allocations", "KiB", "CPU µs")
	}
	cells := func(of func(callers int) (result, bool)) []string {
		var row []string
		for _, n := range d.opt.callers {
			if r, ok := of(n); ok {
				row = append(row, fmt.Sprintf("%.1f", r.Mallocs), fmt.Sprintf("%.1f", r.Bytes/1024),
					fmt.Sprintf("%.1f", float64(r.CPU.Nanoseconds())/1000))
			} else {
				row = append(row, "–", "–", "–")
			}
		}
		return row
	}
	for _, e := range d.pick(groupHTTP, groupIdem, groupPeer) {
		if e.shipped {
			continue
		}
		label := e.label
		switch {
		case e.group == groupHTTP:
			label += ", over HTTP"
		case e.group == groupIdem:
			label += ", answered in the process"
		}
		t.add(append([]string{label}, cells(func(n int) (result, bool) { return d.typical(e.name, n) })...)...)
	}
	above := cells(func(n int) (result, bool) {
		whole, ok1 := d.typical("http-idem", n)
		bare, ok2 := d.typical("http-net", n)
		whole.Mallocs -= bare.Mallocs
		whole.Bytes -= bare.Bytes
		whole.CPU -= bare.CPU
		return whole, ok1 && ok2
	})
	t.add(append([]string{"**idem over HTTP, above net/http's own**"}, above...)...)
	t.print()
	return nil
}
