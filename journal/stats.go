package journal

import (
	"slices"
	"time"
)

// Filter selects intents. An intent is selected if it matches every field that is
// set. The zero value selects every intent.
type Filter struct {
	// States selects intents in any of these states. Empty: in any state.
	States []State

	// Scope selects intents with this scope. Empty: with any scope, or none.
	Scope string

	// Operation selects intents with exactly this operation name, and never a prefix of
	// it. Empty: with any name.
	Operation string

	// ID selects intents with this ID. Empty: with any ID, or none.
	ID string

	// Since selects intents created at this journal time or later. Zero: at any time.
	Since time.Time
}

// Match reports whether f selects r. A store can use it to check a record that it
// found through an index.
func (f Filter) Match(r *Record) bool {
	return (len(f.States) == 0 || slices.Contains(f.States, r.Summary().State)) &&
		(f.Scope == "" || f.Scope == r.Operation.Scope) &&
		(f.Operation == "" || f.Operation == r.Operation.Name) &&
		(f.ID == "" || f.ID == r.Operation.ID) &&
		(f.Since.IsZero() || !r.CreatedAt.Before(f.Since))
}

// Stats holds counts of a journal or, in Stats.Operations, of one operation. Intents,
// DuplicatesPrevented, CostPrevented and ByReason count since the journal was made
// and survive restarts. Pending, InDoubt and Oldest are about the intents that are
// open now.
type Stats struct {
	// Intents is the number of intents that were created, pruned ones included.
	Intents int64

	// Pending is the number of intents that are Pending now.
	Pending int64

	// InDoubt is the number of intents that are InDoubt now.
	InDoubt int64

	// DuplicatesPrevented is the number of calls that did not execute again: the sum of
	// ByReason over the reasons for which PreventsDuplicate is true.
	DuplicatesPrevented int64

	// CostPrevented is the sum of Operation.Cost over the calls that
	// DuplicatesPrevented counts.
	CostPrevented int64

	// Oldest is the CreatedAt of the oldest open intent. Zero: no intent is open.
	Oldest time.Time

	// ByReason is the number of calls counted by each reason. A reason without counts
	// has no entry. ReasonPruned is never in it.
	ByReason map[string]int64

	// Operations has the counts of each operation by its name. nil in the Stats of one
	// operation.
	Operations map[string]Stats
}

// Counter is an amount that Journal.Count adds to a durable counter. Each pair of
// Operation and Reason has a counter of its own. The client makes one for each call
// that it counts.
type Counter struct {
	// Operation is the operation's name.
	Operation string

	// Reason is one of the reason constants.
	Reason string

	// Count is added to the count.
	Count int64

	// Cost is added to the cost: the sum of Operation.Cost of the counted calls.
	Cost int64
}

// The reasons by which the client counts calls. ReasonReplayed, ReasonCoalesced,
// ReasonServerReplayed and ReasonReemitted count duplicates prevented (see
// PreventsDuplicate). ReasonMismatch, ReasonExpired, ReasonInDoubt and ReasonLimit
// count calls that the client held back. ReasonPruned counts pruned intents.
const (
	// ReasonReplayed counts calls that got the recorded outcome of their intent, which
	// can be a refusal.
	ReasonReplayed = "replayed"

	// ReasonCoalesced counts calls that waited for an execution that another call, in
	// this process or another, had started, and got its outcome.
	ReasonCoalesced = "coalesced"

	// ReasonServerReplayed counts calls whose outcome the server marked as the stored
	// reply to an earlier attempt.
	ReasonServerReplayed = "server_replayed"

	// ReasonReemitted counts calls that were recognised as duplicates of an intent
	// under another ID. Calls that the policy refused (Policy.Refuse) are included.
	ReasonReemitted = "reemitted"

	// ReasonMismatch counts calls whose identity has another payload.
	ReasonMismatch = "mismatch"

	// ReasonExpired counts calls that could not send an intent again although the
	// contract keeps keys: the retention has passed, or too many owners have died.
	ReasonExpired = "expired"

	// ReasonInDoubt counts calls that could not send an intent again, because its
	// contract keeps no keys.
	ReasonInDoubt = "in_doubt"

	// ReasonLimit counts calls that did not fit into the limit of their operation.
	ReasonLimit = "limit"

	// ReasonPruned counts intents that Prune has dropped entirely. A store counts them
	// itself and adds them to Stats.Intents, so that Intents never decreases.
	ReasonPruned = "pruned"
)

// PreventsDuplicate reports whether reason counts calls that without the journal would
// have executed again. It is true for ReasonReplayed, ReasonCoalesced,
// ReasonServerReplayed and ReasonReemitted, and false for every other text. A store
// adds the counts with these reasons up to Stats.DuplicatesPrevented, and their costs
// to Stats.CostPrevented.
func PreventsDuplicate(reason string) bool {
	switch reason {
	case ReasonReplayed, ReasonCoalesced, ReasonServerReplayed, ReasonReemitted:
		return true
	}
	return false
}
