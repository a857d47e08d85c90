package journal

import (
	"context"
	"errors"
	"time"
)

// Journal keeps intents. Open uses the one on SQLite; New takes any.
//
// A Journal value is one opener: what it begins or claims is its own until it
// settles it, releases it, closes, or dies. How another opener's death is found
// out is the journal's business. A method that writes returns when the write is
// durable; a ctx that ends stops the wait, never a write under way. Methods may
// be called from many goroutines at once, and never change or keep what they are
// given.
type Journal interface {
	// Begin inserts r, owned by this opener, unless something stands in the way, and
	// says what. The identity is (Scope, Name, ID, Repeat) of r.Operation; an empty
	// ID has none. r.Previous is the key of the newest link the caller has seen, or
	// empty.
	//
	// Where another link of the identity is the newest, nothing is inserted, and that
	// link is returned with ConflictIdentity; or ConflictLimit, where it failed in passing (so
	// that it did not count, and tried again it would) and the budget is used up. An
	// ID that was answered with another's outcome before is an alias of that:
	// ConflictDuplicate, with that intent. Then g is asked: an intent of the same scope, name
	// and fingerprint that was begun at g.Reemission or later and is not Failed is
	// returned with ConflictDuplicate, and r's ID, if g.Alias says so, is durably its alias
	// from then on; a budget that r does not fit into is ConflictLimit, with no record. An
	// insert whose commit failed half-way is an error that Is ErrMaybeRecorded.
	Begin(ctx context.Context, r *Record, g Checks) (Conflict, *Record, error)

	// Change appends c to the intent c.Key if c.Version is exactly one more than the
	// newest version there and no other live opener owns it. ok is false where it
	// lost, and standing is then the intent as it is. A c that settles an intent as
	// Succeeded is appended even after another's claim, unless a final outcome is
	// there already: a proven success is never lost. No intent with that key: nil,
	// false, nil.
	Change(ctx context.Context, c *Change) (standing *Record, ok bool, err error)

	// Get reads one intent by its key. None: nil, nil.
	Get(ctx context.Context, key string) (*Record, error)

	// Page reads the intents that f selects, oldest first, beginning behind the
	// cursor after, and returns the cursor of the next page. "" is the first page
	// and, returned, the end.
	Page(ctx context.Context, f Filter, after string, limit int) (page []*Record, next string, err error)

	// Log appends an audit row to an intent. It changes no state.
	Audit(ctx context.Context, n AuditEntry) error

	// Value reads, and where update is not nil replaces, a small named value in one
	// transaction. update gets nil where there is none yet; what it returns is
	// stored unless it is equal to what it got.
	Value(ctx context.Context, name string, update func(old []byte) ([]byte, error)) ([]byte, error)

	// Count adds to the durable counters. It may return before they are durable;
	// they ride in the next write, or in Close.
	Count(ctx context.Context, counts []Counter) error

	// Stats reads the counters and counts the open intents.
	Stats(ctx context.Context) (Stats, error)

	// Prune drops payloads and outcomes of intents settled before outcomes, and
	// everything of those settled before identities. Open intents stay. It works in
	// small steps and returns how many intents it shortened or dropped.
	Prune(ctx context.Context, outcomes, identities time.Time) (int, error)

	// Close makes durable what is still to be written and gives up what is owned.
	Close() error
}

// Checks is what Begin checks besides the identity. The zero value checks nothing.
type Checks struct {
	DuplicatesSince time.Time // zero: off
	Alias           bool      // keep a re-emitted ID as an alias of the first
	Limit           Limit     // zero: none
	LimitSince      time.Time // count intents begun then or later, Failed ones excepted
}

// enabled reports whether there is anything to check now or to be found later.
func (g Checks) Enabled() bool { return !g.DuplicatesSince.IsZero() || g.Limit != Limit{} }

// Conflict is what stood in the way of Begin.
type Conflict uint8

const (
	NoConflict        Conflict = iota // it was inserted
	ConflictIdentity                  // its identity has another newest link
	ConflictDuplicate                 // it was begun under another ID a moment ago
	ConflictLimit                     // its budget is used up
)

// ErrMaybeRecorded: the journal failed half-way through Begin. Nothing was sent;
// the intent may be there. Begin again under the same ID only.
var ErrMaybeRecorded = errors.New("maybe recorded")
