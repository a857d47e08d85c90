package idem

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// State is where an intent stands.
type State uint8

const (
	Pending   State = iota // begun, not settled: it may or may not have been sent
	Succeeded              // it happened, and the first outcome is kept
	Failed                 // provably nothing happened
	InDoubt                // it may have happened, and sending again is not known to be safe or did not settle it
)

// String is the state in lower case, as messages have it.
func (s State) String() string {
	names := [...]string{"pending", "succeeded", "failed", "in doubt"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Operation says what is done and which use of it this is. Scope, Name, ID and
// Repeat together are the identity of an intent.
type Operation struct {
	Name  string // what is done: create_invoice. A Policy belongs to it. Never empty.
	Scope string // whom or what the ID is unique in: a tenant, a user, an agent run
	ID    string // the caller's stable name: an order number, a step of a plan. Empty: a fresh intent each time

	// Repeat is 0; an intended repeat of the same thing says 1, 2, …. It is part of
	// the identity and never taken for a re-emission.
	Repeat int

	// Cost is what one execution costs, in the caller's unit: cents, tokens.
	Cost int64
}

// String is the operation as messages have it.
func (op Operation) String() string {
	s := op.Name
	if op.ID != "" {
		s += " " + op.ID
	}
	if op.Repeat != 0 {
		s += fmt.Sprintf(" (repeat %d)", op.Repeat)
	}
	if op.Scope != "" {
		s += " in " + op.Scope
	}
	return s
}

const maxNameLength = 512 // of an operation's name, scope and ID, in bytes

func (op Operation) validate() error {
	if op.Name == "" {
		return errors.New("idem: the operation has no name: set Operation.Name, such as \"create_invoice\"; nothing was sent")
	}
	for _, field := range []struct{ what, value string }{{"Name", op.Name}, {"Scope", op.Scope}, {"ID", op.ID}} {
		if len(field.value) > maxNameLength {
			return fmt.Errorf("idem: operation %.40q: its %s %.40q has %d bytes, at most %d are taken: use a shorter stable name, such as a hash of it; nothing was sent",
				op.Name, field.what, field.value, len(field.value), maxNameLength)
		}
		for i := range len(field.value) {
			if b := field.value[i]; b < ' ' || b == 0x7f {
				return fmt.Errorf("idem: operation %.40q: its %s %.40q has a control character at byte %d: use printable text; nothing was sent",
					op.Name, field.what, field.value, i)
			}
		}
	}
	if op.Repeat < 0 {
		return fmt.Errorf("idem: Operation.Repeat of %s is negative: 0 is the first, 1 an intended repeat; nothing was sent", op)
	}
	if op.Cost < 0 {
		return fmt.Errorf("idem: Operation.Cost of %s is negative: it is what one execution costs, 0 or more; nothing was sent", op)
	}
	return nil
}

// Intent is one logical use of an operation. It owns exactly one key, is on disk
// before anything is sent, and keeps the first outcome. Its methods may be called
// from many goroutines at once.
type Intent struct {
	client *Client
	live   *liveRequest // what only this process knows of the request: its credentials

	mu       sync.Mutex
	record   *Record
	replayed bool
	counted  bool      // as re-emitted: its replay is not counted again
	written  *[32]byte // the fingerprint of the one write that a tool's function made
}

// liveRequest is the caller's request as far as it is not journaled.
type liveRequest struct {
	request http.Request // without its body; only for the replies' Request field
	secrets secrets
	head    head // of the request, where it is the one that was journaled, once; zero: it is not

	transport http.RoundTripper // what attempts go through; nil: the client's
}

func (in *Intent) snapshot() (*Record, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.record, in.replayed
}

// learn keeps the newest record that is known.
func (in *Intent) learn(r *Record, replayed bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if r != nil {
		in.record = r
	}
	in.replayed = in.replayed || replayed
}

// Key is what the far side sees, the same in every attempt.
func (in *Intent) Key() string { r, _ := in.snapshot(); return r.Key }

// Operation is what was begun.
func (in *Intent) Operation() Operation { r, _ := in.snapshot(); return r.Operation }

// State is where it stands, as this value last saw it. Client.Lookup reads it anew.
func (in *Intent) State() State { r, _ := in.snapshot(); return r.Summary().State }

// Attempts is how many attempts are known of, those that never left this machine
// included. An owner that died may have made one more.
func (in *Intent) Attempts() int { r, _ := in.snapshot(); return r.Summary().Attempts }

// Previous is the key of the failed intent that this one mends; empty: none.
func (in *Intent) Previous() string { r, _ := in.snapshot(); return r.Previous }

// PayloadHash is the sha256 of Payload in hex; empty once the payload is pruned.
func (in *Intent) PayloadHash() string {
	r, _ := in.snapshot()
	if !r.PrunedAt.IsZero() {
		return ""
	}
	sum := sha256.Sum256(r.Payload)
	return hex.EncodeToString(sum[:])
}

// Replayed tells that the answer came from the journal, or that the far side
// marked it as a stored one.
func (in *Intent) Replayed() bool { _, replayed := in.snapshot(); return replayed }

// FirstSent is when the first attempt that may have reached the wire began, in
// journal time. Zero: certainly none did.
func (in *Intent) FirstSent() time.Time {
	r, _ := in.snapshot()
	return firstSent(r)
}

// SafeUntil is until when the far side honours the key, less the time of one
// attempt and a margin, in journal time. Zero: it is never safe to send again.
func (in *Intent) SafeUntil() time.Time {
	r, _ := in.snapshot()
	return safeUntil(r.Summary(), in.client.retentionOf(r), in.client.retryOf(r).AttemptTimeout)
}

// Target is where it goes, without query: "POST api.stripe.com/v1/charges" or
// "tool charge".
func (in *Intent) Target() string { r, _ := in.snapshot(); return targetOf(r) }

// Payload is a copy of what is sent: the request's body, or the tool's input as
// JSON. nil once it is pruned.
func (in *Intent) Payload() []byte { r, _ := in.snapshot(); return bytes.Clone(r.Payload) }

// Outcome is a copy of the reply's body, or of the tool's output as JSON. nil
// where there is none.
func (in *Intent) Outcome() []byte {
	r, _ := in.snapshot()
	if reply := r.reply(); reply != nil {
		return bytes.Clone(reply.Body)
	}
	return nil
}

// History is everything the journal knows of the intent, oldest first: its
// beginning, each attempt, each change of state, each audit row.
func (in *Intent) History() []Event {
	r, _ := in.snapshot()
	return historyOf(in, r)
}

// Do carries the intent out and returns its outcome; a refusal is an outcome too.
// Many callers of one intent, in this process or others, make one execution, and
// all get its outcome. An outcome that is recorded already is handed out again.
//
// A nil error means that the outcome is final and recorded. An error that Is
// ErrInDoubt means that nobody knows: it may have happened. A ctx that ends stops
// this wait, not the attempt under way, whose outcome is still recorded.
func (in *Intent) Do(ctx context.Context) (*http.Response, error) {
	r, _ := in.snapshot()
	if r.Terms.Tool {
		return nil, fmt.Errorf("idem: %s is the intent of a tool: call it through its Tool, or through Client.Recover", describe(r))
	}
	reply, err := in.client.drive(ctx, in)
	if reply == nil {
		return nil, err
	}
	var request *http.Request
	if in.live != nil {
		request = &in.live.request
	}
	return response(reply, request), err
}

// describe names an intent in a message: what and under which key.
func describe(r *Record) string {
	return fmt.Sprintf("%s (key %s)", r.Operation, r.Key)
}
