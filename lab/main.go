//go:build linux && cgo

// Command lab tries to break the library, and prints what it tried and found.
//
//	go run ./lab           what a quick look needs
//	go run ./lab -push     what every change has to pass
//	go run ./lab -nightly  hours of it
//
// A suite that breaks a rule makes it end with status 1.
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
	"github.com/idem-go/idem/lab/sim"
)

// scale is how much a suite tries.
type scale uint8

const (
	quick   scale = iota // seconds: what go test does
	push                 // minutes
	nightly              // hours
)

// of is the number for this scale.
func (s scale) of(quick, push, nightly int) int { return [...]int{quick, push, nightly}[s] }

// counts is what a suite did and found.
type counts struct {
	unit   string   // what was counted: "images", "rounds", "seeds"
	tried  int      // so many of them
	detail string   // what else is worth a place in the table
	broken int      // so many of them broke a rule
	found  []string // the first of those, a line each
}

// suite is one way of trying to break the library. A negative control, which has
// to be caught, counts as broken when it was not.
type suite struct {
	name string
	run  func(ctx context.Context, s scale) (counts, error)
}

// lab is what all suites share.
type lab struct {
	seed uint64 // the first one; each suite goes on from there
	kept string // where what broke a rule is kept; empty: nowhere
}

// suites are all there are, in the order of the table.
func (l lab) suites() []suite {
	return slices.Concat(l.powerSuites(), l.killSuites(), l.simSuites())
}

func main() {
	sim.Child()                         // started by a suite, to simulate
	if code, was := kill.Agent(); was { // or to be killed
		os.Exit(code)
	}
	var l lab
	isPush := flag.Bool("push", false, "try what every change has to pass")
	isNightly := flag.Bool("nightly", false, "try for hours")
	only := flag.String("suite", "", "only the suites whose name contains this")
	flag.Uint64Var(&l.seed, "seed", 1, "the first seed")
	flag.StringVar(&l.kept, "keep", "", "a folder for what broke a rule")
	flag.Parse()
	s := quick
	switch {
	case *isNightly:
		s = nightly
	case *isPush:
		s = push
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
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
