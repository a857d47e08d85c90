package idemtest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rule names what a checker looks for.
type Rule string

// The rules. The first three are Check's, the others CheckAgainst's.
const (
	// RuleOneEffect: one execution of a key makes one effect. A key that
	// expired may be executed again; a server that ignores keys is not asked.
	RuleOneEffect Rule = "one-effect"
	// RuleOnePayload: a key is never seen with another method, path or body.
	RuleOnePayload Rule = "one-payload"
	// RuleKeyRequired: with RequireKey, no effect is without a key.
	RuleKeyRequired Rule = "key-required"

	// RuleKnownEffect: every effect belongs to an intent that the agent knows.
	RuleKnownEffect Rule = "known-effect"
	// RuleSucceeded: an intent that is said to have succeeded has one effect.
	RuleSucceeded Rule = "succeeded"
	// RuleOutcome: its outcome is what the server stored, byte for byte.
	RuleOutcome Rule = "outcome"
	// RuleFailed: an intent that is said to have failed has no effect.
	RuleFailed Rule = "failed"
	// RulePayload: what arrived is what the agent says it sent.
	RulePayload Rule = "payload"
	// RuleSent: nothing arrived of an intent that is said to have ended
	// without being sent.
	RuleSent Rule = "sent"
	// RuleOneIntent: no two intents own the same key, and each has one of the
	// four states.
	RuleOneIntent Rule = "one-intent"
)

// Violation is one broken rule.
type Violation struct {
	Rule     Rule     `json:"rule"`
	Key      string   `json:"key,omitempty"`
	Detail   string   `json:"detail"`
	Arrivals []int    `json:"arrivals,omitempty"` // Seq of those concerned
	Effects  []string `json:"effects,omitempty"`  // their ids
}

// String says all of it in one line.
func (v Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", v.Rule)
	if v.Key != "" {
		fmt.Fprintf(&b, "key %s: ", v.Key)
	}
	b.WriteString(v.Detail)
	if len(v.Arrivals) > 0 {
		fmt.Fprintf(&b, " (arrivals %v)", v.Arrivals)
	}
	if len(v.Effects) > 0 {
		fmt.Fprintf(&b, " (effects %s)", strings.Join(v.Effects, ", "))
	}
	return b.String()
}

// KnownIntent is what an agent's journal says about one intent.
type KnownIntent struct {
	Key       string
	State     string    // "pending", "succeeded", "failed", "indoubt"
	Outcome   []byte    // the recorded reply's body; nil: none is kept
	Body      string    // hex sha256 of the payload's bytes; empty: not compared
	Attempts  int       // as journaled
	FirstSent time.Time // zero: the journal says it was never sent
}

// Check looks for what the server alone can see.
func (s *Server) Check() []Violation { return s.Ledger().Check() }

// CheckAgainst compares the ledger with what the agents' journals say. Give it
// the intents of every agent that used the server. It does not repeat Check.
func (s *Server) CheckAgainst(known []KnownIntent) []Violation {
	return s.Ledger().CheckAgainst(known)
}

// Check looks for what the server alone can see.
func (l Ledger) Check() []Violation {
	var out []Violation
	if !l.KeysIgnored {
		out = append(out, l.checkOneEffect()...)
	}
	out = append(out, l.checkOnePayload()...)
	if l.KeyRequired {
		for _, e := range l.EffectsOf("") {
			out = append(out, Violation{Rule: RuleKeyRequired, Detail: "an effect without a key",
				Arrivals: []int{e.Arrival}, Effects: []string{e.ID}})
		}
	}
	return out
}

func (l Ledger) checkOneEffect() []Violation {
	type execution struct {
		key        string
		generation int
	}
	ids := make(map[execution][]Effect)
	var order []execution
	for _, e := range l.Effects {
		if e.Key == "" {
			continue
		}
		at := execution{e.Key, e.Generation}
		if ids[at] == nil {
			order = append(order, at)
		}
		ids[at] = append(ids[at], e)
	}
	var out []Violation
	for _, at := range order {
		if effects := ids[at]; len(effects) > 1 {
			v := Violation{Rule: RuleOneEffect, Key: at.key, Detail: fmt.Sprintf("%d effects of one execution", len(effects))}
			for _, e := range effects {
				v.Arrivals, v.Effects = append(v.Arrivals, e.Arrival), append(v.Effects, e.ID)
			}
			out = append(out, v)
		}
	}
	return out
}

func (l Ledger) checkOnePayload() []Violation {
	first := make(map[string]Arrival)
	var out []Violation
	for _, a := range l.Arrivals {
		if a.Key == "" || a.BodyHash == "" || !a.Unsafe() {
			continue
		}
		f, seen := first[a.Key]
		if !seen {
			first[a.Key] = a
			continue
		}
		if f.Method != a.Method || f.Path != a.Path || f.Query != a.Query || f.BodyHash != a.BodyHash {
			out = append(out, Violation{
				Rule: RuleOnePayload, Key: a.Key, Arrivals: []int{f.Seq, a.Seq},
				Detail: fmt.Sprintf("seen as %s %s body %s, then as %s %s body %s",
					f.Method, f.Path, short(f.BodyHash), a.Method, a.Path, short(a.BodyHash)),
			})
		}
	}
	return out
}

// CheckAgainst compares the ledger with what the agents' journals say. Give it
// the intents of every agent that used the server. It does not repeat Check.
func (l Ledger) CheckAgainst(known []KnownIntent) []Violation {
	var out []Violation
	owners := make(map[string]KnownIntent, len(known))
	for _, k := range known {
		if _, twice := owners[k.Key]; twice {
			out = append(out, Violation{Rule: RuleOneIntent, Key: k.Key, Detail: "two intents own it"})
		}
		owners[k.Key] = k
	}
	for _, e := range l.Effects {
		if _, ok := owners[e.Key]; !ok || e.Key == "" {
			out = append(out, Violation{Rule: RuleKnownEffect, Key: e.Key, Detail: "an effect that no intent knows",
				Arrivals: []int{e.Arrival}, Effects: []string{e.ID}})
		}
	}
	arrivals, effects := l.byKey()
	for _, k := range known {
		out = append(out, l.checkIntent(k, arrivals[k.Key], effects[k.Key])...)
	}
	return out
}

func (l Ledger) byKey() (map[string][]Arrival, map[string][]Effect) {
	arrivals, effects := make(map[string][]Arrival), make(map[string][]Effect)
	for _, a := range l.Arrivals {
		if a.Unsafe() {
			arrivals[a.Key] = append(arrivals[a.Key], a)
		}
	}
	for _, e := range l.Effects {
		effects[e.Key] = append(effects[e.Key], e)
	}
	return arrivals, effects
}

func (l Ledger) checkIntent(k KnownIntent, arrivals []Arrival, effects []Effect) []Violation {
	var out []Violation
	found := func(rule Rule, format string, args ...any) {
		v := Violation{Rule: rule, Key: k.Key, Detail: fmt.Sprintf(format, args...)}
		for _, a := range arrivals {
			v.Arrivals = append(v.Arrivals, a.Seq)
		}
		for _, e := range effects {
			v.Effects = append(v.Effects, e.ID)
		}
		out = append(out, v)
	}
	switch k.State {
	case "succeeded":
		// A server that forgot a key makes another effect; that is no fault of
		// the agent's, and RuleOneEffect looks at each execution.
		executions := 1
		for _, e := range effects {
			executions = max(executions, e.Generation)
		}
		if len(effects) == 0 || len(effects) > executions {
			found(RuleSucceeded, "succeeded with %d effects", len(effects))
		}
		if k.Outcome != nil && len(effects) > 0 && !l.isOutcome(k, effects) {
			found(RuleOutcome, "the outcome (%d bytes, sha256 %s) is not what the server stored", len(k.Outcome), short(hashBytes(k.Outcome)))
		}
	case "failed":
		if len(effects) > 0 {
			found(RuleFailed, "failed, yet it happened")
		}
	case "pending", "indoubt":
	default:
		found(RuleOneIntent, "%q is no state; there are pending, succeeded, failed, indoubt", k.State)
	}
	for _, a := range arrivals {
		if k.Body != "" && a.BodyHash != "" && !strings.EqualFold(a.BodyHash, k.Body) {
			found(RulePayload, "arrival %d carried the body %s, the intent's is %s", a.Seq, short(a.BodyHash), short(k.Body))
		}
	}
	if len(arrivals) > 0 && k.State != "pending" && k.Attempts == 0 && k.FirstSent.IsZero() {
		found(RuleSent, "%d arrivals of an intent that is %s and was never sent", len(arrivals), k.State)
	}
	return out
}

// isOutcome accepts a stored reply that says success, and the resource itself
// as a search returns it: what an agent learns that asks instead of sending
// again.
func (l Ledger) isOutcome(k KnownIntent, effects []Effect) bool {
	for _, rec := range l.Keys {
		if rec.Key == k.Key && rec.Status < 300 && bytes.Equal(rec.Body, k.Outcome) {
			return true
		}
	}
	return slices.ContainsFunc(effects, func(e Effect) bool {
		object, ok := l.Objects[e.Object]
		return ok && bytes.Equal(object, k.Outcome)
	})
}

func short(hash string) string { return hash[:min(len(hash), 8)] }
