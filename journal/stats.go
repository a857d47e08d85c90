package journal

import (
	"slices"
	"time"
)

// Filter selects intents. Zero fields select everything.
type Filter struct {
	States    []State // any of them
	Scope     string
	Operation string // its exact name
	ID        string
	Since     time.Time // begun then or later
}

// selects tells whether a record is one of those a filter asks for.
func (f Filter) Match(r *Record) bool {
	return (len(f.States) == 0 || slices.Contains(f.States, r.Summary().State)) &&
		(f.Scope == "" || f.Scope == r.Operation.Scope) &&
		(f.Operation == "" || f.Operation == r.Operation.Name) &&
		(f.ID == "" || f.ID == r.Operation.ID) &&
		(f.Since.IsZero() || !r.CreatedAt.Before(f.Since))
}

// Stats are durable counts, since the journal was made. Those of open intents are
// as of now.
type Stats struct {
	Intents             int64 // begun
	Pending             int64
	InDoubt             int64
	DuplicatesPrevented int64            // effects that did not happen a second time
	CostPrevented       int64            // the sum of their Operation.Cost
	Oldest              time.Time        // when the oldest open one was begun; zero: none is open
	ByReason            map[string]int64 // replayed, coalesced, server_replayed, reemitted; mismatch, expired, in_doubt, limit
	Operations          map[string]Stats // by operation name
}

// Counter is one count to add: of duplicates that did not happen, or of what was
// held back.
type Counter struct {
	Operation string
	Reason    string
	Count     int64
	Cost      int64
}

// What is counted by reason. The first four add up to DuplicatesPrevented.
const (
	ReasonReplayed       = "replayed"
	ReasonCoalesced      = "coalesced"
	ReasonServerReplayed = "server_replayed"
	ReasonReemitted      = "reemitted"
	ReasonMismatch       = "mismatch"
	ReasonExpired        = "expired"
	ReasonInDoubt        = "in_doubt"
	ReasonLimit          = "limit"
	ReasonPruned         = "pruned" // an identity that was dropped: counted so that Stats.Intents does not shrink
)

// PreventsDuplicate reports whether a count under reason is an effect that did not
// happen a second time. True for ReasonReplayed, ReasonCoalesced,
// ReasonServerReplayed and ReasonReemitted, false for every other text. A store adds
// the counts with these reasons up to Stats.DuplicatesPrevented, and their costs to
// Stats.CostPrevented.
func PreventsDuplicate(reason string) bool {
	switch reason {
	case ReasonReplayed, ReasonCoalesced, ReasonServerReplayed, ReasonReemitted:
		return true
	}
	return false
}
