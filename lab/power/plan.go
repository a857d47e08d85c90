//go:build linux && cgo

package power

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// verb is what the agent does in one step.
type verb uint8

const (
	doOrder    verb = iota // Begin and Do
	beginOrder             // Begin alone: as if the agent died before Do
	doTogether             // several orders at once: they share a commit
	doAgain                // an order that was done
	resolve                // a person says what became of what is in doubt
	recoverAll
	reopen
	checkpoint // another program, such as a backup, copies the log into the journal
	prune
	count // Stats
)

// step is one thing that the agent does.
type step struct {
	verb   verb
	orders []order
	how    string // of a checkpoint
}

// plan is everything that an agent does, drawn from a seed.
type plan struct {
	seed   uint64
	orders []order
	steps  []step
	prunes bool // outcomes are kept for no time at all
}

func newPlan(seed uint64) plan {
	lots := rand.New(rand.NewPCG(seed, 0x1de))
	p := plan{seed: seed, prunes: lots.IntN(6) == 0}
	for i := range 3 + lots.IntN(4) {
		p.orders = append(p.orders, newOrder(lots, fmt.Sprintf("order-%d", i)))
	}
	left := p.orders
	for len(left) > 0 {
		switch n := lots.IntN(10); {
		case n == 0 && len(left) > 1:
			p.steps = append(p.steps, step{verb: doTogether, orders: left[:2]})
			left = left[2:]
		case n == 1:
			p.steps = append(p.steps, step{verb: beginOrder, orders: left[:1]})
			left = left[1:]
		default:
			p.steps = append(p.steps, step{verb: doOrder, orders: left[:1]})
			left = left[1:]
		}
		if lots.IntN(2) == 0 {
			p.steps = append(p.steps, between(lots, p))
		}
	}
	return p
}

// between is a step that begins nothing new.
func between(lots *rand.Rand, p plan) step {
	all := []verb{doAgain, resolve, recoverAll, reopen, reopen, checkpoint, checkpoint, count}
	if p.prunes {
		all = append(all, prune, prune)
	}
	s := step{verb: all[lots.IntN(len(all))]}
	switch s.verb {
	case doAgain:
		s.orders = p.orders[lots.IntN(len(p.orders)):][:1]
	case checkpoint:
		s.how = [...]string{"PASSIVE", "FULL", "RESTART", "TRUNCATE"}[lots.IntN(4)]
	}
	return s
}

func newOrder(lots *rand.Rand, id string) order {
	o := order{id: id, op: [...]operation{charge, charge, post, file}[lots.IntN(4)]}
	size := lots.IntN(200)
	if lots.IntN(5) == 0 {
		size = lots.IntN(12_000) // several pages
	}
	o.payload = fmt.Sprintf("%s %s", id, strings.Repeat("x", size))
	o.faults = newFaults(lots, o.op)
	return o
}

// newFaults draws what goes wrong with an order. What ends an intent for good is
// last.
func newFaults(lots *rand.Rand, op operation) (list []fault) {
	if lots.IntN(2) == 0 {
		return nil
	}
	for range 1 + lots.IntN(3) {
		list = append(list, 1+fault(lots.IntN(int(faults)-1)))
	}
	return list
}
