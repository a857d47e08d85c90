package journal

import (
	"net/http"
	"time"
)

// Record is what a journal keeps of one intent. The client sets the first group of
// fields before Begin; they never change, except that Prune drops Head and Payload.
// The store sets the second group when it returns the record, and Begin ignores it.
type Record struct {
	// Key is the idempotency key that the intent owns. No other intent has it.
	Key string

	// Operation is the operation with the intent's identity. Its Name is never empty.
	Operation Operation

	// Previous is the key of the Failed intent that this intent is the successor of.
	// Empty: it is the successor of none.
	Previous string

	// Fingerprint is the SHA-256 hash of the canonical payload, or with encryption an
	// HMAC of that hash. Payloads that mean the same have equal fingerprints.
	Fingerprint [32]byte

	// FingerprintVersion is the version of the rules that made Fingerprint.
	FingerprintVersion int

	// Head is the request's method, URL and headers as text, without secrets and
	// without the key. For a tool it is "tool " and the tool's name. nil once pruned.
	// With encryption it is ciphertext.
	Head []byte

	// Payload is the request's body, or the tool's input as JSON, exactly as each
	// attempt sends it. nil if the request has no body, and once pruned. With
	// encryption it is ciphertext.
	Payload []byte

	// Terms are the terms under which the intent was created.
	Terms Terms

	// CreatedAt is the journal time of Begin.
	CreatedAt time.Time

	// Changes is the intent's history, oldest first. Version 1 is the first change. In
	// records that Page returns it can hold the newest change only. nil: the intent is
	// as Begin created it.
	Changes []Change

	// Audit lists the audit entries, in the order in which they were appended. Records
	// that Page returns can lack them. nil once pruned.
	Audit []AuditEntry

	// Owner tells who owned the intent when the record was read, as seen by the opener
	// that read it.
	Owner Ownership

	// PrunedAt is zero until Prune drops Head, Payload and the outcome. Then it is the
	// journal time at which the intent was settled, not the time of pruning.
	PrunedAt time.Time
}

// Summary returns the Summary of the newest change. A record without changes is
// Pending with version 0, and its window starts at CreatedAt.
func (r *Record) Summary() Summary {
	if n := len(r.Changes); n > 0 {
		return r.Changes[n-1].Summary
	}
	return Summary{State: Pending, WindowStart: r.CreatedAt}
}

// Reply returns the reply of the newest change, or nil if that has none. A reply of
// an earlier change, such as a transient refusal before a new attempt, is not the
// intent's outcome.
func (r *Record) Reply() *Reply {
	if n := len(r.Changes); n > 0 {
		return r.Changes[n-1].Reply
	}
	return nil
}

// Terms are the policy's terms when an intent was created. Recovery applies the
// stricter of the recorded and the current retention, and recovers an intent
// automatically only if Version and Account are still the policy's. Terms is
// comparable, so that a store can keep equal terms once.
type Terms struct {
	// Tool is true if the intent runs a tool's function, and false if it sends an HTTP
	// request.
	Tool bool

	// MarksAttempts is true if the client appends an AttemptStarted change before each
	// attempt, so that an attempt without one was never sent. It is set for contracts
	// that keep no keys. Its name in JSON is Marked.
	MarksAttempts bool `json:"Marked"`

	// Contract is the contract's name. Empty: it has none.
	Contract string

	// Retention is how long the server honours the key, counted from
	// Summary.WindowStart. 0: the server promises nothing about keys.
	Retention time.Duration

	// KeyPlace is the place in the request that carries the key.
	KeyPlace KeyPlace

	// Quoted is true if the key is sent in double quotes, as a structured-field string.
	// It applies to keys in a header.
	Quoted bool

	// FirstSent is the name of the header that carries Summary.WindowStart in each
	// attempt. Empty: no header does.
	FirstSent string

	// Version is Policy.Version. Empty: the policy names none.
	Version string

	// Account is Policy.Account. Empty: the policy names none.
	Account string
}

// Ownership tells who may execute an intent, as seen by the opener that reads it.
// The zero value is Unowned.
type Ownership uint8

const (
	// Unowned means that no opener owns the intent: it is settled, in doubt or
	// released.
	Unowned Ownership = iota

	// OwnedBySelf means that the opener that read the record owns the intent.
	OwnedBySelf

	// OwnedByLive means that another opener owns the intent and lives, or is not
	// proven dead.
	OwnedByLive

	// OwnedByDead means that another opener owned the intent and is proven dead. Any
	// opener can claim the intent.
	OwnedByDead
)

// Change is one entry of an intent's history. The client sets every field.
type Change struct {
	// Key is the key of the intent that changes.
	Key string

	// Kind tells what happened.
	Kind ChangeKind

	// Summary is the intent's state and history after this change. Its Version is the
	// version of the change.
	Summary

	// At is the journal time of the change.
	At time.Time

	// NewAttempts lists the attempts since the change before, oldest first. nil: none.
	NewAttempts []Attempt

	// Reason is the cause in a few words: "timeout", "http 500", "owner died".
	Reason string

	// Note is text for people: who resolved the intent and why, or the words of a
	// tool's refusal. Empty: there is none. With encryption it is ciphertext.
	Note string

	// Checks is what the transaction that appends a claim checks. It is not kept. Zero,
	// and with every other Kind: nothing more than the identity.
	Checks Checks

	// Reply is the outcome. nil: the change is no outcome, or an outcome without a
	// reply, such as an intent that was never sent or that was resolved without a
	// result. With encryption its Body is ciphertext that includes the headers.
	Reply *Reply
}

// ChangeKind tells what happened to an intent. The zero value is no kind.
type ChangeKind uint8

const (
	// Claimed means that the opener that appended the change owns the intent from now
	// on. The state is Pending, also if it was InDoubt or Failed before.
	Claimed ChangeKind = iota + 1

	// AttemptStarted means that the owner is about to make an attempt. Only intents
	// with Terms.MarksAttempts have such changes. The opener that appended the change
	// owns the intent.
	AttemptStarted

	// Released means that the owner gave the intent up. The state does not change, and
	// no opener owns the intent.
	Released

	// MarkedInDoubt means that the state is InDoubt. No opener owns the intent.
	MarkedInDoubt

	// Settled means that an attempt proved the state, Succeeded or Failed. No opener
	// owns the intent.
	Settled

	// Resolved means that Policy.Reconcile or a person determined the state. The client
	// appends it with Succeeded or Failed; a store accepts InDoubt too. No opener owns
	// the intent.
	Resolved
)

// Summary sums up an intent's history at one version. The client computes it; a
// store keeps it as it is.
type Summary struct {
	// Version is the number of changes so far. 0: the intent is as Begin created it.
	Version int

	// State is the intent's state.
	State State

	// Failure is why the state is Failed. NotFailed for every other state.
	Failure Failure

	// Attempts is the number of attempts known so far, those that were never sent
	// included. An owner that died may have made one more.
	Attempts int

	// MayHaveExecuted is true if an attempt may have had its effect and no later
	// evidence says otherwise.
	MayHaveExecuted bool

	// FirstSent is the journal time at which the first attempt started that may have
	// been sent. Zero: no such attempt is known.
	FirstSent time.Time

	// WindowStart is the journal time from which the server's retention is counted. It
	// is Record.CreatedAt at first, and moves to the time of a later claim as long as
	// no attempt may have been sent.
	WindowStart time.Time

	// Takeovers is the number of times that a dead owner's intent was claimed since it
	// was last settled. After more than five the intent is parked: Recover does not send
	// it, and a caller's own call makes one attempt at most.
	Takeovers int
}

// Failure tells why an intent is Failed. In each case it had no effect. The zero
// value is NotFailed.
type Failure uint8

const (
	// NotFailed means that the intent is not Failed.
	NotFailed Failure = iota

	// FailedNotSent means that no attempt was sent. The same call sends the intent
	// with the same key.
	FailedNotSent

	// FailedTransient means that the server refused the intent for a reason that can
	// pass, such as a rate limit. The same call sends the intent again with the same
	// key.
	FailedTransient

	// FailedPermanent means that the server refused the intent. The same call gets the
	// recorded refusal.
	FailedPermanent

	// FailedByResolver means that Policy.Reconcile or a person determined that the
	// intent had no effect. The same call gets an error that matches ErrRefused.
	FailedByResolver

	// FailedAgain means that a person determined that the intent had no effect, and
	// asked for it to be done (Resolution.Again). The same call begins a successor with
	// a new key.
	FailedAgain
)

// Attempt is one attempt as it is recorded: one try to send the request, or one run
// of a tool's function.
type Attempt struct {
	// Number counts the intent's attempts from 1. 0: the entry is no attempt of its
	// own but a call of Policy.Reconcile, or the error of a tool's function whose
	// writes are recorded as attempts.
	Number int

	// At is the journal time at which the attempt started.
	At time.Time

	// Took is the attempt's duration. 0: it was not measured.
	Took time.Duration

	// Status is the status of the HTTP reply. 0: there was no reply, or the attempt
	// ran a tool's function.
	Status int

	// Reason is what the attempt proved, in a few words: "http 200", "timeout".
	Reason string

	// Err is the text of the attempt's error, without secrets. Empty: there was none.
	// With encryption it is ciphertext.
	Err string
}

// Reply is an outcome: a complete HTTP reply, or a tool's output.
type Reply struct {
	// Status is the HTTP status. 0: the outcome is a tool's.
	Status int

	// Proto is the HTTP version, such as "HTTP/1.1". Empty: the outcome is a tool's, or
	// the transport names none.
	Proto string

	// Header holds the reply's headers without secrets. nil and an empty map mean the
	// same.
	Header http.Header

	// Body is the reply's body, or the tool's output as JSON. nil and empty mean the
	// same. It is empty if the body was larger than the client keeps.
	Body []byte

	// Size is the length of the whole body in bytes. It is len(Body), unless the body
	// was not kept.
	Size int64

	// Hash is the SHA-256 hash of the whole body. Zero: Body holds the whole body.
	Hash [32]byte
}

// Truncated reports whether the body was larger than the client keeps, so that only
// its Size and Hash are recorded.
func (r *Reply) Truncated() bool { return r.Size > int64(len(r.Body)) }

// AuditEntry is an observation for people that no state shows, such as evidence that
// contradicts a recorded outcome.
type AuditEntry struct {
	// Key is the key of the intent that the entry is about.
	Key string

	// At is the journal time of the observation.
	At time.Time

	// Reason is the kind of the observation in a word or two: "alarm", "came late".
	Reason string

	// Text says what was observed. With encryption it is ciphertext.
	Text string
}
