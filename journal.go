package idem

import (
	"context"
	"net/http"
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

// Conflict is what stood in the way of Begin.
type Conflict uint8

const (
	NoConflict        Conflict = iota // it was inserted
	ConflictIdentity                  // its identity has another newest link
	ConflictDuplicate                 // it was begun under another ID a moment ago
	ConflictLimit                     // its budget is used up
)

// Checks is what Begin checks besides the identity. The zero value checks nothing.
type Checks struct {
	DuplicatesSince time.Time // zero: off
	Alias           bool      // keep a re-emitted ID as an alias of the first
	Limit           Limit     // zero: none
	LimitSince      time.Time // count intents begun then or later, Failed ones excepted
}

// enabled reports whether there is anything to check now or to be found later.
func (g Checks) enabled() bool { return !g.DuplicatesSince.IsZero() || g.Limit != Limit{} }

// OpenJournal opens or makes the SQLite journal at path, as Open does, without a
// client on it: for New, for a server, for tools. Close it.
func OpenJournal(path string) (Journal, error) {
	s, err := openSQLite(path)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Record is what a journal keeps of one intent: how it was begun, which never
// changes, and the changes since.
type Record struct {
	Key                string
	Operation          Operation
	Previous           string // key of the failed intent that this one mends; empty: none
	Fingerprint        [32]byte
	FingerprintVersion int    // version of the fingerprint's rules
	Head               []byte // the request's head without secrets, or the tool's name
	Payload            []byte // the exact bytes to send
	Terms              Terms
	CreatedAt          time.Time // journal time

	Changes  []Change     // oldest first; what Page returns may hold only the newest
	Audit    []AuditEntry // the audit rows; not in what Page returns
	Owner    Ownership    // as seen while reading
	PrunedAt time.Time    // not zero: payload and outcome were pruned then
}

// Terms is what was promised when an intent was begun. Recovery takes the
// stricter of these and the present ones.
type Terms struct {
	Tool          bool          // a tool function, not an HTTP request
	MarksAttempts bool          `json:"Marked"` // a durable mark is written before each attempt
	Contract      string        // the contract's name
	Retention     time.Duration // how long the far side honours the key
	KeyPlace      KeyPlace      // where the request carries the key
	Quoted        bool
	FirstSent     string // header that repeats the time of the first attempt
	Version       string
	Account       string
}

// Ownership says who may execute an intent.
type Ownership uint8

const (
	Unowned     Ownership = iota // released, or settled
	OwnedBySelf                  // by this opener
	OwnedByLive                  // by another opener that lives
	OwnedByDead                  // by another opener that is proven dead
)

// Standing is where an intent stands: the sum of its history.
type Summary struct {
	Version         int // 0 at Begin; each change is one more
	State           State
	Failure         Failure   // why it is Failed
	Attempts        int       // so many are known of
	MayHaveExecuted bool      // one of them may have had its effect
	FirstSent       time.Time // the first attempt that may have reached the wire; zero: none
	WindowStart     time.Time // the far side's retention is counted from here
	Takeovers       int       // claims from a dead owner since the last settlement
}

// Failure says why an intent is Failed. Nothing happened in any of them.
type Failure uint8

const (
	NotFailed        Failure = iota
	FailedNotSent            // no attempt ever reached the wire
	FailedTransient          // refused for a passing reason
	FailedPermanent          // refused
	FailedByResolver         // a person or Reconcile says that it did not happen
)

// ChangeKind says what a change is.
type ChangeKind uint8

const (
	Claimed        ChangeKind = iota + 1 // this opener owns it from now on
	AttemptStarted                       // an attempt is about to be sent
	Released                             // nobody owns it; it is as open as it was
	MarkedInDoubt                        // InDoubt, and nobody owns it
	Settled                              // Succeeded or Failed, by a reply
	Resolved                             // Succeeded, Failed or InDoubt, by Reconcile or a person
)

// Change is one row of an intent's history, with where the intent stands after it.
type Change struct {
	Key  string
	Kind ChangeKind
	Summary
	At          time.Time
	NewAttempts []Attempt // the attempts made since the row before
	Reason      string    // one word or two: "timeout", "http 500", "owner died"
	Note        string    // who says so, and why
	Reply       *Reply    // with Succeeded and Failed: the outcome
}

// Try is one attempt as it is journaled.
type Attempt struct {
	Number int
	At     time.Time
	Took   time.Duration
	Status int    // 0: no reply
	Reason string // what it proved, in a word or two
	Err    string // without secrets
}

// Reply is an outcome: a whole HTTP reply, or a tool's output as JSON with
// status 0.
type Reply struct {
	Status int
	Proto  string
	Header http.Header // without secrets
	Body   []byte
	Size   int64    // of the whole body; more than len(Body) where it was over the limit
	Hash   [32]byte // sha256 of the whole body where it was over the limit
}

// Note is an audit row: something that a person should see and no state shows.
type AuditEntry struct {
	Key    string
	At     time.Time
	Reason string
	Text   string
}

// Counter is one count to add: of duplicates that did not happen, or of what was
// held back.
type Counter struct {
	Operation string
	Reason    string
	Count     int64
	Cost      int64
}

// Standing is where the intent stands now.
func (r *Record) Summary() Summary {
	if n := len(r.Changes); n > 0 {
		return r.Changes[n-1].Summary
	}
	return Summary{State: Pending, WindowStart: r.CreatedAt}
}

// reply is the recorded outcome, nil where there is none: the one that the newest
// change brought. A reply before it, such as a passing refusal of an intent that was
// tried again since, is no outcome any more.
func (r *Record) reply() *Reply {
	if n := len(r.Changes); n > 0 {
		return r.Changes[n-1].Reply
	}
	return nil
}
