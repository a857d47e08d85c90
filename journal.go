package idem

import (
	"github.com/idem-go/idem/internal/sqlite"
	"github.com/idem-go/idem/journal"
)

// Operation names what is done and which use of it is meant. Scope, Name, ID and
// Repeat together are the identity of an intent: one identity is executed once.
//
// Its fields, which the caller sets:
//
//   - Name string: what is done, such as "create_invoice". WithPolicy sets the policy
//     of a name. It must not be empty.
//   - Scope string: the tenant, the user or the agent run in which ID is unique.
//     Empty: the scope of the context (WithScope), or no scope.
//   - ID string: the caller's stable name of the intent, such as an order number or a
//     step of a plan. Empty: each call is a new intent, unless Policy.ID makes an ID
//     of the payload.
//   - Repeat int: 0 for the first execution, 1, 2, … for intended repetitions of the
//     same thing. A repetition is not checked against Policy.Window.
//   - Cost int64: the cost of one execution in a unit that the caller chooses, such as
//     cents or tokens. Policy.Limit and Stats add it up; it is no part of the
//     identity. 0: it costs nothing.
//
// Name, Scope and ID have at most 512 bytes each and no control characters. Repeat
// and Cost are not negative. Operation has the methods SameIdentity, Validate and
// String.
type Operation = journal.Operation

// State is the state of an intent: Pending, Succeeded, Failed or InDoubt. The zero
// value is Pending. Its method String returns "pending", "succeeded", "failed" or "in
// doubt".
type State = journal.State

const (
	// Pending means that the intent is not settled. It may have been sent or not.
	Pending = journal.Pending

	// Succeeded means that the intent had its effect, and its first outcome is
	// recorded. An intent that has Succeeded never changes its state.
	Succeeded = journal.Succeeded

	// Failed means that the intent had no effect, which is proven. The same call sends
	// the intent again, with the same key, if it was never sent or was refused for a
	// transient reason. Otherwise the failure is final.
	Failed = journal.Failed

	// InDoubt means that the intent may have had its effect, and that sending it again
	// is not known to be safe or did not settle it. A later attempt,
	// Policy.Reconcile or Client.Resolve can make it Succeeded or Failed.
	InDoubt = journal.InDoubt
)

// Limit is a budget for the intents of one scope and operation in a sliding time. Set
// it in Policy.Limit. It counts the intents that are not Failed and were created
// under a policy with a Limit or a Window. A call that does not fit fails with
// ErrLimit and sends nothing. The zero value is no limit.
//
// Its fields:
//
//   - Intents int: the greatest number of intents within Per. 0: any number.
//   - Cost int64: the greatest sum of their Operation.Cost within Per. 0: any sum.
//   - Per time.Duration: the length of the sliding time, counted back from now. It
//     must be set if Intents or Cost is.
//
// Its method String returns a text such as "10 intents in 1h0m0s".
type Limit = journal.Limit

// Filter selects intents for Client.Intents. An intent is selected if it matches
// every field that is set. The zero value selects every intent.
//
// Its fields:
//
//   - States []State: selects intents in any of these states. Empty: in any state.
//   - Scope string: selects intents with this scope. Empty: with any scope, or none.
//   - Operation string: selects intents with exactly this operation name, and never a
//     prefix of it. Empty: with any name.
//   - ID string: selects intents with this ID. Empty: with any ID, or none.
//   - Since time.Time: selects intents created at this journal time or later. Zero: at
//     any time.
type Filter = journal.Filter

// Stats holds counts of a journal, as Client.Stats returns them. Intents,
// DuplicatesPrevented, CostPrevented and ByReason count since the journal was made
// and survive restarts; Pending, InDoubt and Oldest are about the intents that are
// open now.
//
// Its fields:
//
//   - Intents int64: the number of intents that were created, pruned ones included.
//   - Pending int64: the number of intents that are Pending now.
//   - InDoubt int64: the number of intents that are InDoubt now.
//   - DuplicatesPrevented int64: the number of calls that did not execute again: the
//     sum of ByReason over replayed, coalesced, server_replayed and reemitted.
//   - CostPrevented int64: the sum of Operation.Cost over the calls that
//     DuplicatesPrevented counts.
//   - Oldest time.Time: the time at which the oldest open intent was created. Zero: no
//     intent is open.
//   - ByReason map[string]int64: the number of calls counted by each reason. A reason
//     without counts has no entry.
//   - Operations map[string]Stats: the counts of each operation by its name. nil in
//     the Stats of one operation.
//
// The reasons in ByReason:
//
//   - replayed: the call got the recorded outcome of its intent.
//   - coalesced: the call waited for an execution that another call had started, and
//     got its outcome.
//   - server_replayed: the server marked the outcome as the stored reply to an earlier
//     attempt.
//   - reemitted: the call was recognised as a duplicate of an intent under another ID
//     (Policy.Window).
//   - mismatch: the identity has another payload; ErrMismatch.
//   - expired: the intent could not be sent again although its contract keeps keys:
//     the retention has passed, or too many owners have died.
//   - in_doubt: the intent could not be sent again, because its contract keeps no
//     keys.
//   - limit: the call did not fit into Policy.Limit; ErrLimit.
type Stats = journal.Stats

// Journal keeps intents. OpenJournal returns the SQLite journal, and New takes any
// Journal. What a Journal must do, and the types that only a Journal needs, are
// documented in the package github.com/idem-go/idem/journal; the package
// journal/journaltest tests a Journal.
type Journal = journal.Journal

// ErrMaybeRecorded is matched by the error of a Begin that failed while the journal
// committed, so that the intent may or may not be recorded. Nothing was sent. To be
// safe, begin again with the same ID.
var ErrMaybeRecorded = journal.ErrMaybeRecorded

// OpenJournal opens the SQLite journal at path, and creates it with mode 0600 if there
// is none. It opens the same journal as Open, without a client: for New, for a server
// (package server) and for tools. It fails if path is already open in this process,
// is not on a local file system, or is not a journal. Close the Journal after use; a
// client made with New closes it.
func OpenJournal(path string) (Journal, error) {
	s, err := sqlite.Open(path)
	if err != nil {
		return nil, err
	}
	return s, nil
}
