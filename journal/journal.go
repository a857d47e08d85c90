package journal

import (
	"context"
	"errors"
	"time"
)

// Journal keeps intents. Each value is one opener: the intents that it creates or
// claims are its own until it settles or releases them, is closed, or dies.
//
// A method that writes returns after the write is durable; Count is the exception.
// When ctx ends, a method stops waiting and starts no write; a write that has started
// still completes.
//
// Methods may be called from many goroutines at once. They neither modify nor keep
// their arguments. A record that they return belongs to the caller, which may modify
// it. The client calls no method after Close.
type Journal interface {
	// Begin inserts r as a new intent that this opener owns, or returns what conflicts
	// with it. The checks below and the insert are one transaction. The first check
	// that finds a conflict decides, and nothing is inserted then:
	//
	//   - Identity: r.Operation.ID is not empty, and the newest intent of r's identity
	//     is not the one with the key r.Previous, or is that one and is not as the caller
	//     read it: not at the version checks.PreviousVersion, or, where that is 0, not
	//     Failed. The result is ConflictIdentity with
	//     that newest intent, whatever its payload. If that intent is Failed with
	//     FailedNotSent or FailedTransient, so that the caller would send it again and
	//     it would count again, and checks.Limit has no room for r, the result is
	//     ConflictLimit with a nil record instead.
	//   - Alias: r.Operation.ID is an alias, its identity has no intent that is newer
	//     than the alias, and r.Previous is empty. The result is ConflictDuplicate with the intent that the
	//     ID is an alias of, whatever its payload and also if checks is zero.
	//   - Duplicate: checks.DuplicatesSince is set, and there is an intent with the
	//     scope, name and fingerprint of r and Repeat 0 that counts, and does so from
	//     checks.DuplicatesSince or later. The result is ConflictDuplicate
	//     with the oldest such intent. If checks.Alias is true and r.Operation.ID is
	//     not empty, the ID is durably an alias of that intent from then on.
	//   - Limit: checks.Limit is set and has no room for r. The result is ConflictLimit
	//     with a nil record.
	//
	// Begin returns NoConflict and a nil record after it inserted r. It fails if
	// another intent already has the key r.Key. An error that matches
	// ErrMaybeRecorded means that r may have been inserted; after any other error r
	// was not inserted.
	Begin(ctx context.Context, r *Record, checks Checks) (Conflict, *Record, error)

	// Change appends c to the history of the intent with the key c.Key and returns
	// NoConflict and a nil record, or returns what conflicts with c. The checks and the
	// append are one transaction: what the caller read before is only a hint.
	//
	// The result is ConflictVersion with the intent's current record, or with nil if no
	// intent has that key, unless all of this holds:
	//
	//   - c.Version is the intent's newest version plus 1. A new intent has version 0.
	//   - No other live opener owns the intent.
	//   - The newest change is no outcome (State Succeeded or Failed); or it is Failed,
	//     and c claims the intent, which reopens it, or resolves it as Failed once more.
	//
	// A claim starts an execution, so that it is decided again what Begin decided. The
	// first of these that holds is the result, and nothing is appended then:
	//
	//   - Identity: the intent's Operation.ID is not empty, and its identity has a newer
	//     intent. ConflictIdentity, with the newest one.
	//   - Outcomes: the intent is Failed, and has had as many outcomes as the store
	//     keeps of one intent. ConflictExhausted, with the intent's current record: the
	//     caller begins a successor.
	//   - Duplicate and limit, as in Begin, with c.Checks and the intent itself left out,
	//     where the claim makes the intent count from c.At: it is Failed, or it is
	//     Pending, unowned and no attempt can have been sent. ConflictDuplicate with the
	//     intent that it duplicates, and c.Checks.Alias as in Begin; or ConflictLimit
	//     with a nil record.
	//
	// An intent counts for duplicates and limits while it is not Failed: from CreatedAt,
	// or from the At of its newest claim that made it count anew.
	//
	// A c with Kind Settled and State Succeeded is a proven success, which must not be
	// lost: only the last condition applies to it, except that a c.Version higher than
	// the newest version plus 1 is still rejected. It is appended as the newest version
	// plus 1.
	//
	// After Claimed and AttemptStarted this opener owns the intent. After any other
	// kind no opener does. An error can leave open whether c was appended. The client
	// may call Change with the same c again later.
	Change(ctx context.Context, c *Change) (Conflict, *Record, error)

	// Get returns the intent with this key, with its whole history, or nil and a nil
	// error if there is none.
	Get(ctx context.Context, key string) (*Record, error)

	// Page returns up to limit intents that f selects, in the order in which they were
	// created, and the cursor of the next page. limit is positive. after is the cursor
	// that the call before returned; an empty after selects the first page. An empty
	// next means that there are no more intents. A page can hold fewer than limit
	// intents, or none, and still have a next page. The records can lack audit entries
	// and every change but the newest.
	Page(ctx context.Context, f Filter, after string, limit int) (page []*Record, next string, err error)

	// Audit appends e to the audit entries of the intent with the key e.Key. It changes
	// neither version nor state nor owner. If no intent has that key, Audit appends
	// nothing and returns nil.
	Audit(ctx context.Context, e AuditEntry) error

	// Value returns the value stored under name, or nil if there is none. If update is
	// not nil, Value calls it with the stored value, stores what it returns unless that
	// is equal, and returns it. Reading and storing are one transaction, which may run
	// update more than once. If update fails, Value stores nothing and returns the same
	// error. The client stores a few small values, of up to a few hundred bytes.
	Value(ctx context.Context, name string, update func(old []byte) ([]byte, error)) ([]byte, error)

	// Count adds counts to the durable counters. It may return before they are
	// durable: they are written with the next write, and by Close at the latest.
	Count(ctx context.Context, counts []Counter) error

	// Stats returns the counters, with all counts that Count got from this opener, and
	// counts the intents.
	Stats(ctx context.Context) (Stats, error)

	// Prune drops Head, Payload, replies, attempts, notes and audit entries of each
	// intent settled before outcomes, and sets its PrunedAt. It drops an intent settled
	// before identities entirely, with its aliases, and counts it with ReasonPruned. An
	// intent is settled at the time of its newest change. Open intents are never
	// pruned. A store may keep more than it has to.
	//
	// Prune writes in small transactions, so that other writes do not wait long. It
	// returns how many intents it shortened or dropped, also together with an error.
	Prune(ctx context.Context, outcomes, identities time.Time) (int, error)

	// Close writes what is not durable yet and ends this opener's ownership of its
	// intents. Another opener then sees them as Unowned or OwnedByDead. Calling Close
	// again returns nil.
	Close() error
}

// Checks tells Begin, and a Change that claims, what to check besides the identity.
// The zero value checks nothing more. The client makes it from the operation's policy.
type Checks struct {
	// DuplicatesSince starts the duplicate window: the client sets it to
	// Record.CreatedAt, or Change.At, minus Policy.Window. Zero: duplicates are not
	// looked for.
	DuplicatesSince time.Time

	// PreviousVersion is the version at which the caller read the intent r.Previous,
	// where that may have Succeeded: a server begins a key anew whose retention is over.
	// 0: it has to be Failed. The client leaves it 0. It is no check for Enabled.
	PreviousVersion int

	// Alias makes the ID of a duplicate an alias of the intent it duplicates. False:
	// the ID stays free, because the policy refuses duplicates (Policy.Refuse).
	Alias bool

	// Limit is the budget that r must fit into, together with the intents that count.
	// An intent counts if it has the scope and name of r, is not Failed, and counts
	// from LimitSince or later. Limit.Per is already applied in LimitSince. Sums that
	// exceed an int64 count as the largest one. Zero: there is no budget.
	Limit Limit

	// LimitSince is the oldest time that counts for Limit. The client sets it to
	// Record.CreatedAt, or Change.At, minus Limit.Per, and leaves it zero if Limit is
	// zero.
	LimitSince time.Time
}

// Enabled reports whether c has a check for duplicates or a limit. A store has to
// find an intent as a duplicate, and count it for a limit, only if the intent was
// created with enabled checks: the SQLite store keeps no index entry for others.
func (c Checks) Enabled() bool { return !c.DuplicatesSince.IsZero() || c.Limit != Limit{} }

// Conflict tells why Begin inserted, or Change appended, nothing. The zero value is
// NoConflict.
type Conflict uint8

const (
	// NoConflict means that Begin inserted the intent, or that Change appended.
	NoConflict Conflict = iota

	// ConflictIdentity means that the identity has another newest intent, which is
	// returned.
	ConflictIdentity

	// ConflictDuplicate means that the duplicate window has an intent with the same
	// payload under another ID, or that the ID is an alias. That intent is returned.
	ConflictDuplicate

	// ConflictLimit means that the budget of the scope and operation is used up. No
	// record is returned.
	ConflictLimit

	// ConflictVersion means that the intent is not as the caller of Change read it, or
	// that another opener owns it. The intent as it is now is returned.
	ConflictVersion

	// ConflictExhausted means that the intent cannot be claimed, because it has had as
	// many outcomes as the store keeps. The intent is returned.
	ConflictExhausted
)

// ErrMaybeRecorded is matched by the error of a Begin whose commit failed, so that
// the intent may or may not be recorded. The client has sent nothing. To be safe, the
// caller must begin again with the same ID.
var ErrMaybeRecorded = errors.New("maybe recorded")
