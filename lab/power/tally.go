//go:build linux && cgo

package power

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Rule names what must never be.
type Rule string

// What the judge looks for.
const (
	Lost          Rule = "lost"           // an acknowledged intent or outcome is not there
	Duplicated    Rule = "duplicated"     // an effect happened twice
	Orphaned      Rule = "orphaned"       // an effect belongs to no intent in the journal
	WronglyFailed Rule = "wrongly failed" // it is said to have failed, and it happened
	WrongAnswer   Rule = "wrong answer"   // an answer is not the far side's, or not the one given before
	Refused       Rule = "refused"        // the journal cannot be opened
	Trouble       Rule = "trouble"        // any other error where there should be none
)

// Rules are all of them, in the order of tables.
func Rules() []Rule {
	return []Rule{Lost, Duplicated, Orphaned, WronglyFailed, WrongAnswer, Refused, Trouble}
}

// Violation is one broken rule.
type Violation struct {
	Rule Rule
	Text string
}

// String is the violation in a line.
func (v Violation) String() string { return string(v.Rule) + ": " + v.Text }

// Case is an image that broke a rule, with what is needed to look at it again.
type Case struct {
	Seed  uint64
	Where string // the step of the run, and the damage
	Found []Violation
	Kept  string // the folder that holds the image; empty: it was not kept
}

// String is the case in a line.
func (c Case) String() string {
	texts := make([]string, len(c.Found))
	for i, v := range c.Found {
		texts[i] = v.String()
	}
	s := fmt.Sprintf("seed %d, %s: %s", c.Seed, c.Where, strings.Join(texts, "; "))
	if c.Kept != "" {
		s += "; kept in " + c.Kept
	}
	return s
}

// Tally is what a suite did and found.
type Tally struct {
	mu     sync.Mutex
	Booted int            // images that differ, each booted and judged
	Bad    int            // those that broke a rule
	Runs   int            // recorded runs, each from another seed
	Modes  map[string]int // images by how the power loss was
	Broken map[Rule]int   // images that broke a rule, by rule
	Cases  []Case         // the first of them
}

const casesKept = 20

func newTally() *Tally { return &Tally{Modes: map[string]int{}, Broken: map[Rule]int{}} }

// add counts one image.
func (t *Tally) add(mode string, c Case) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Booted++
	t.Modes[mode]++
	var rules []Rule
	for _, v := range c.Found {
		if !slices.Contains(rules, v.Rule) {
			rules = append(rules, v.Rule)
			t.Broken[v.Rule]++
		}
	}
	if len(c.Found) > 0 {
		t.Bad++
	}
	if len(c.Found) > 0 && len(t.Cases) < casesKept {
		t.Cases = append(t.Cases, c)
	}
}
