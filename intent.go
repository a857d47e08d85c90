package idem

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/internal/wire"
	"github.com/idem-go/idem/journal"
)

// Intent is one logical use of an operation. It owns exactly one key, is on disk
// before anything is sent, and keeps the first outcome. Its methods may be called
// from many goroutines at once.
type Intent struct {
	client *Client
	live   *liveRequest // what only this process knows of the request: its credentials

	mu       sync.Mutex
	record   *journal.Record
	replayed bool
	counted  bool      // as re-emitted: its replay is not counted again
	written  *[32]byte // the fingerprint of the one write that a tool's function made
}

// liveRequest is the caller's request as far as it is not journaled.
type liveRequest struct {
	request http.Request // without its body; only for the replies' Request field
	secrets wire.Secrets
	head    wire.Head // of the request, where it is the one that was journaled, once; zero: it is not

	transport http.RoundTripper // what attempts go through; nil: the client's
}

func (in *Intent) snapshot() (*journal.Record, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.record, in.replayed
}

// become makes in the handle of what another one was begun as.
func (in *Intent) become(other *Intent) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.record, in.counted = other.record, other.counted
}

// learn keeps the newest record that is known.
func (in *Intent) learn(r *journal.Record, replayed bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if r != nil {
		in.record = r
	}
	in.replayed = in.replayed || replayed
}

// Key is what the server receives, the same in every attempt.
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

// Replayed tells that the answer came from the journal, or that the server
// marked it as a stored one.
func (in *Intent) Replayed() bool { _, replayed := in.snapshot(); return replayed }

// FirstSent is when the first attempt that may have reached the wire began, in
// journal time. Zero: certainly none did.
func (in *Intent) FirstSent() time.Time {
	r, _ := in.snapshot()
	return lifecycle.FirstSent(r)
}

// SafeUntil is until when the server honours the key, less the time of one
// attempt and a margin, in journal time. Zero: it is never safe to send again, or more
// than five owners have died over the intent, so that Recover does not send it.
func (in *Intent) SafeUntil() time.Time {
	r, _ := in.snapshot()
	return in.client.safeUntil(r)
}

// Target is where it goes, without query: "POST api.stripe.com/v1/charges" or
// "tool charge".
func (in *Intent) Target() string { r, _ := in.snapshot(); return wire.Target(r) }

// Payload is a copy of what is sent: the request's body, or the tool's input as
// JSON. nil once it is pruned.
func (in *Intent) Payload() []byte { r, _ := in.snapshot(); return bytes.Clone(r.Payload) }

// Outcome is a copy of the reply's body, or of the tool's output as JSON. nil
// where there is none.
func (in *Intent) Outcome() []byte {
	r, _ := in.snapshot()
	if reply := r.Reply(); reply != nil {
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
// ErrInDoubt means that the outcome is unknown: it may have happened. A ctx that ends stops
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
	return wire.Response(reply, request), err
}

// describe names an intent in a message: what and under which key.
func describe(r *journal.Record) string {
	return fmt.Sprintf("%s (key %s)", r.Operation, r.Key)
}
