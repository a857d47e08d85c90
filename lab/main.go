//go:build linux && cgo

// Command lab tries to break the library, and prints what it tried and found.
//
//	go run ./lab           what a quick look needs
//	go run ./lab -push     what every change has to pass: minutes
//	go run ./lab -nightly  hours of it
//	go run ./lab -mutants  the suite against small breakages of the library itself
//
// A long run can be cut into parts, each with seeds of its own: -nightly -part 1/8,
// and so on to 8/8, in any order and on any machine. Ctrl-C ends a run with the
// counts so far. A suite that breaks a rule makes it end with status 1.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/idem-go/idem/lab/kill"
	"github.com/idem-go/idem/lab/mutants"
	"github.com/idem-go/idem/lab/pair"
	"github.com/idem-go/idem/lab/sim"
)

// scale is how much a suite tries.
type scale uint8

const (
	quick   scale = iota // seconds: what go test does
	push                 // minutes
	nightly              // hours
)

// of is the number for a scale, or this part's share of it.
func (l lab) of(s scale, quick, push, nightly int) int {
	n := [...]int{quick, push, nightly}[s]
	return (n + l.parts - 1) / l.parts
}

// counts is what a suite did and found.
type counts struct {
	unit   string   // what was counted: "images", "rounds", "seeds"
	tried  int      // so many of them
	detail []string // what else is worth a place in the table, a line each
	broken int      // so many of them broke a rule
	found  []string // the first of those, a line each
}

// control counts a negative control.
func (n *counts) control(name string, caught bool, after int, unit string) {
	if caught {
		n.detail = append(n.detail, fmt.Sprintf("%s: caught within %d %s", name, after, unit))
		return
	}
	n.broken++
	n.found = append(n.found, fmt.Sprintf("%s was not caught in %d %s", name, after, unit))
}

// suite is one way of trying to break the library. A negative control, which has
// to be caught, counts as broken when it was not.
type suite struct {
	name string
	run  func(ctx context.Context, s scale) (counts, error)
}

// lab is what all suites share.
type lab struct {
	seed  uint64    // the first one; each suite goes on from there
	kept  string    // where what broke a rule is kept; empty: nowhere
	parts int       // in how many parts the work is cut
	hits  kill.Hits // faults that were met so far
}

func newLab(seed uint64) lab { return lab{seed: seed, parts: 1, hits: kill.Hits{}} }

// part makes this lab one part of several, such as "2/8".
func (l *lab) part(text string) error {
	var n int
	if _, err := fmt.Sscanf(text, "%d/%d", &n, &l.parts); err != nil || n < 1 || n > l.parts {
		return fmt.Errorf("%q is no part: the second of eight is 2/8", text)
	}
	l.seed += uint64(n-1) * seedsOfPart
	return nil
}

const seedsOfPart = 10_000_000 // more than a part takes

// suites are all there are, in the order of the table.
func (l lab) suites() []suite {
	return slices.Concat(l.powerSuites(), l.killSuites(), l.pairSuites(), l.simSuites())
}

func main() {
	sim.Child()                         // started by a suite, to simulate
	if code, was := kill.Agent(); was { // or to be killed
		os.Exit(code)
	}
	if code, was := pair.Child(); was { // or to be killed as one of a pair
		os.Exit(code)
	}
	l := newLab(1)
	isPush := flag.Bool("push", false, "try what every change has to pass")
	isNightly := flag.Bool("nightly", false, "try for hours")
	isMutants := flag.Bool("mutants", false, "break the library in a copy, in one place after the other, and see that its tests notice")
	only := flag.String("suite", "", "only the suites, or mutants, whose name contains this")
	flag.Uint64Var(&l.seed, "seed", 1, "the first seed")
	part := flag.String("part", "1/1", "do one part of the work, such as 2/8")
	flag.StringVar(&l.kept, "keep", "", "a folder for what broke a rule")
	flag.Parse()
	if err := l.part(*part); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(2)
	}
	if l.kept != "" {
		if err := os.MkdirAll(l.kept, 0o700); err != nil {
			fmt.Fprintln(os.Stderr, "lab:", err)
			os.Exit(2)
		}
	}
	s := quick
	switch {
	case *isNightly:
		s = nightly
	case *isPush:
		s = push
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *isMutants {
		good, err := mutants.Print(ctx, os.Stdout, ".", *only)
		if err != nil {
			fmt.Fprintln(os.Stderr, "lab:", err)
		}
		if !good {
			stop()
			os.Exit(1)
		}
		return
	}
	var chosen []suite
	for _, one := range l.suites() {
		if strings.Contains(one.name, *only) {
			chosen = append(chosen, one)
		}
	}
	if !runAll(ctx, os.Stdout, chosen, s) {
		fmt.Fprintln(os.Stderr, "lab: a rule was broken, or a suite could not be run")
		stop()
		os.Exit(1)
	}
}
