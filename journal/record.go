package journal

import (
	"net/http"
	"time"
)

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
func (r *Record) Reply() *Reply {
	if n := len(r.Changes); n > 0 {
		return r.Changes[n-1].Reply
	}
	return nil
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

// truncated tells that the body was over the limit and is not kept.
func (r *Reply) Truncated() bool { return r.Size > int64(len(r.Body)) }

// Note is an audit row: something that a person should see and no state shows.
type AuditEntry struct {
	Key    string
	At     time.Time
	Reason string
	Text   string
}
