// Package history judges a run after it is over, in the manner of Jepsen: it takes
// every row of the journal, every arrival and effect at the far side, and what the
// agents were told, and looks for what must never be.
package history

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/journal"
)

// Rule names what must never be.
type Rule string

// What is looked for.
const (
	Lost       Rule = "lost"           // an intent or outcome that somebody was told of is not there
	Orphaned   Rule = "orphaned"       // something arrived that no intent in the journal covers
	Duplicated Rule = "duplicated"     // one identity, two effects
	Misfailed  Rule = "wrongly failed" // it is said to have failed, and it happened
	Altered    Rule = "altered"        // an outcome changed, or is not the far side's, or other bytes were sent
	Fenced     Rule = "fence"          // rows that no single owner at a time can have written
	Expired    Rule = "expired"        // a key was sent after its window
	Uncounted  Rule = "uncounted"      // an attempt that the journal does not know of
)

// Rules are all of them, in the order of tables.
func Rules() []Rule {
	return []Rule{Lost, Orphaned, Duplicated, Misfailed, Altered, Fenced, Expired, Uncounted}
}

// Violation is one broken rule.
type Violation struct {
	Rule Rule
	Key  string // of the intent; empty: none
	Text string
}

// String is the violation in a line.
func (v Violation) String() string { return fmt.Sprintf("%s: key %s: %s", v.Rule, v.Key, v.Text) }

// TellKind is what an agent was told.
type TellKind string

// What agents are told.
const (
	Begun    TellKind = "begun"    // Begin returned
	Answered TellKind = "answered" // Do returned a reply
	Sending  TellKind = "sending"  // a request is about to leave; Owner says whose the intent is
	Stolen   TellKind = "stolen"   // an attempt to settle another's intent went through
	Strayed  TellKind = "strayed"  // an attempt goes where nobody is; Note says where
)

// Tell is one thing that an agent was told. What it says as it goes is all that is
// known of an agent that is killed.
type Tell struct {
	Kind   TellKind
	Agent  int
	ID     string // of the operation
	Key    string
	Status int               `json:",omitempty"`
	Sum    string            `json:",omitempty"` // hex sha256 of the reply's body
	Owner  journal.Ownership `json:",omitempty"`
	State  idem.State        `json:",omitempty"`
	At     time.Time         `json:",omitzero"`  // of Stolen
	Note   string            `json:",omitempty"` // of Strayed
}

// Run is all that is known of a run.
type Run struct {
	Intents []*journal.Record // whole, with every change
	Ledger  idemtest.Ledger
	Told    []Tell

	// SameClock says that the far side and the agents have one clock that does not
	// jump, so that their times can be compared.
	SameClock bool
	// Retention is how long the far side honours a key; 0: it promises nothing.
	Retention time.Duration
}

// Read reads every intent of a journal whole.
func Read(ctx context.Context, j idem.Journal) ([]*journal.Record, error) {
	var all []*journal.Record
	for after := ""; ; {
		page, next, err := j.Page(ctx, idem.Filter{}, after, 256)
		if err != nil {
			return nil, err
		}
		for _, found := range page {
			r, err := j.Get(ctx, found.Key)
			if err != nil {
				return nil, err
			}
			if r == nil {
				return nil, fmt.Errorf("history: key %s is on a page, and is not there", found.Key)
			}
			all = append(all, r)
		}
		if after = next; after == "" {
			return all, nil
		}
	}
}

// Sum is a body as a Tell has it.
func Sum(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// judge is one Run being judged.
type judge struct {
	Run
	byKey    map[string]*journal.Record
	arrivals map[string][]idemtest.Arrival
	effects  map[string][]idemtest.Effect
	found    []Violation
}

func (j *judge) bad(rule Rule, key, format string, args ...any) {
	j.found = append(j.found, Violation{rule, key, fmt.Sprintf(format, args...)})
}

// Judge finds what must never be. Of a run that is sound it finds nothing.
func Judge(run Run) []Violation {
	j := &judge{
		Run: run, byKey: map[string]*journal.Record{},
		arrivals: map[string][]idemtest.Arrival{}, effects: map[string][]idemtest.Effect{},
	}
	for _, a := range run.Ledger.Arrivals {
		if a.Unsafe() && !a.Duplicate {
			j.arrivals[a.Key] = append(j.arrivals[a.Key], a)
		}
	}
	for _, e := range run.Ledger.Effects {
		j.effects[e.Key] = append(j.effects[e.Key], e)
	}
	j.identities()
	for key := range j.arrivals {
		if j.byKey[key] == nil {
			j.bad(Orphaned, key, "%d arrivals, %d effects, and no intent in the journal", len(j.arrivals[key]), len(j.effects[key]))
		}
	}
	for _, r := range run.Intents {
		j.rows(r)
		j.wire(r)
		j.outcome(r)
	}
	j.told()
	slices.SortStableFunc(j.found, func(a, b Violation) int { return strings.Compare(a.Key, b.Key) })
	return j.found
}

func identity(op idem.Operation) string {
	return fmt.Sprintf("%q %q %q %d", op.Scope, op.Name, op.ID, op.Repeat)
}

// identities looks at what no single intent shows: that one key is one intent's,
// that the links of a chain follow from each other, and that one identity has one
// effect, whatever became of the links before.
func (j *judge) identities() {
	newest, did := map[string]*journal.Record{}, map[string][]string{}
	for _, r := range j.Intents {
		if j.byKey[r.Key] != nil {
			j.bad(Fenced, r.Key, "two intents own this key")
		}
		j.byKey[r.Key] = r
		name := identity(r.Operation)
		if r.Operation.ID == "" {
			name += r.Key
		}
		before := newest[name]
		switch {
		case before == nil:
			if r.Previous != "" && r.Operation.ID != "" {
				j.bad(Lost, r.Key, "it is linked to %s, which is not there", r.Previous)
			}
		case r.Previous != before.Key:
			j.bad(Fenced, r.Key, "a second intent of %s, not linked to %s", name, before.Key)
		case before.Summary().State != idem.Failed:
			j.bad(Fenced, r.Key, "a new intent of %s, although %s is %s", name, before.Key, before.Summary().State)
		case before.Fingerprint == r.Fingerprint && before.PrunedAt.IsZero() && !outlived(before, r):
			j.bad(Fenced, r.Key, "a new key for the payload of %s", before.Key)
		}
		newest[name] = r
		for _, e := range j.effects[r.Key] {
			if e.Generation <= 1 { // a key that the far side forgot early is its broken promise
				did[name] = append(did[name], e.ID)
			}
		}
	}
	for name, effects := range did {
		if len(effects) > 1 {
			j.bad(Duplicated, newest[name].Key, "%s has %d effects: %s", name, len(effects), strings.Join(effects, ", "))
		}
	}
}

// outlived tells whether the link before failed in passing, and its key's time was
// up, or nearly, when the next one was begun.
func outlived(before, r *journal.Record) bool {
	st := before.Summary()
	return st.Failure == journal.FailedTransient && before.Terms.Retention > 0 &&
		r.CreatedAt.Sub(st.WindowStart) > before.Terms.Retention/2 // less than an attempt and a margin are left
}

// wire compares what arrived with what the journal knows.
func (j *judge) wire(r *journal.Record) {
	arrivals := j.arrivals[r.Key]
	if len(arrivals) == 0 {
		return
	}
	st := r.Summary()
	if !r.PrunedAt.IsZero() {
		return // its payload is gone, and what else was known
	}
	sum := Sum(r.Payload)
	for _, a := range arrivals {
		if a.BodyHash != "" && a.BodyHash != sum {
			j.bad(Altered, r.Key, "arrival %d is not the journaled payload", a.Seq)
		}
	}
	first := slices.MinFunc(arrivals, func(a, b idemtest.Arrival) int { return a.At.Compare(b.At) })
	marks, takeovers := 0, 0
	for _, c := range r.Changes {
		switch {
		case c.Kind == journal.AttemptStarted:
			marks++
		case tookOver(c):
			takeovers++
		}
	}
	covered := st.State == idem.Pending && !r.Terms.MarksAttempts
	switch {
	case r.Terms.MarksAttempts && marks < len(arrivals):
		j.bad(Uncounted, r.Key, "%d arrivals, and %d marks before them", len(arrivals), marks)
	case !covered && st.FirstSent.IsZero():
		j.bad(Uncounted, r.Key, "%d arrivals of an intent that is %s and was never sent", len(arrivals), st.State)
	case !covered && takeovers == 0 && st.Attempts < len(arrivals):
		j.bad(Uncounted, r.Key, "%d arrivals, %d attempts in the journal, and nobody took it over", len(arrivals), st.Attempts)
	}
	if !j.SameClock {
		return
	}
	if first.At.Add(reading).Before(r.CreatedAt) {
		j.bad(Orphaned, r.Key, "it arrived %v before it was begun", r.CreatedAt.Sub(first.At))
	}
	if !covered && !st.FirstSent.IsZero() && st.FirstSent.After(first.At.Add(reading)) {
		j.bad(Uncounted, r.Key, "it arrived %v before the first attempt in the journal", st.FirstSent.Sub(first.At))
	}
	for _, a := range arrivals {
		if end := st.WindowStart.Add(j.Retention); j.Retention > 0 && a.At.After(end) {
			j.bad(Expired, r.Key, "arrival %d came %v after the end of its window", a.Seq, a.At.Sub(end))
		}
	}
	for _, e := range j.effects[r.Key] {
		for _, c := range r.Changes {
			if c.State != idem.Failed {
				continue
			}
			if at := j.arrivedAt(r.Key, e.Arrival); !at.IsZero() && at.Before(c.At) {
				j.bad(Misfailed, r.Key, "version %d says that nothing happened, and effect %s had been asked for before", c.Version, e.ID)
			}
		}
	}
}

// reading is how far two readings of one clock may be apart: a process may be held
// up while it takes one.
const reading = 20 * time.Millisecond

func (j *judge) arrivedAt(key string, seq int) time.Time {
	for _, a := range j.arrivals[key] {
		if a.Seq == seq {
			return a.At
		}
	}
	return time.Time{}
}
