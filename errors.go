package idem

import (
	"errors"
	"fmt"
	"time"
)

// What an error of this package may be, for errors.Is. An error that Is none of
// ErrInDoubt, ErrUnrecorded, ErrMaybeRecorded, ErrForgotten and
// ErrOutcomeTruncated means that this call did nothing.
var (
	// ErrMismatch: the intent or key was begun with another payload. Nothing was sent.
	ErrMismatch = errors.New("another payload under the same intent")
	// ErrInDoubt: it may have happened, and nobody can tell yet.
	ErrInDoubt = errors.New("in doubt")
	// ErrNoIntent: an unsafe request without an operation in its context. Nothing was sent.
	ErrNoIntent = errors.New("no intent")
	// ErrNoScope: the operation has no scope, and the client requires one. Nothing was sent.
	ErrNoScope = errors.New("no scope")
	// ErrUnknownTool: no tool of that name was registered. Nothing was done.
	ErrUnknownTool = errors.New("unknown tool")
	// ErrDuplicate: the same thing was asked for under another ID a moment ago, and
	// the policy refuses that. Nothing was sent.
	ErrDuplicate = errors.New("duplicate")
	// ErrLimit: the operation's budget is used up. Nothing was sent.
	ErrLimit = errors.New("limit reached")
	// ErrForgotten: it was settled, and its outcome is no longer kept. Nothing was sent.
	ErrForgotten = errors.New("outcome forgotten")
	// ErrRefused: the far side refused; nothing happened.
	ErrRefused = errors.New("refused")
	// ErrNotSent: nothing left this machine.
	ErrNotSent = errors.New("not sent")
	// ErrUnrecorded: the outcome beside this error is real, but the journal could
	// not keep it. This process will not send that intent again.
	ErrUnrecorded = errors.New("outcome not recorded")
	// ErrOutcomeTruncated: it succeeded, but the reply was over the limit and is not
	// kept whole.
	ErrOutcomeTruncated = errors.New("outcome truncated")
	// ErrClosed: the client was closed. Nothing was sent.
	ErrClosed = errors.New("client closed")
)

// InDoubtError says that an intent may have happened, with what a person needs to
// find out. It Is ErrInDoubt, and Is whatever Err is.
type InDoubtError struct {
	Key       string
	Operation Operation
	Attempts  int       // known of; an owner that died may have made one more
	SafeUntil time.Time // until when the same key may be sent again; zero: never, or it is parked
	Err       error     // what the last attempt left; may be nil

	deaths int  // of its owners, if it is parked; 0: it is not
	again  bool // it is parked, and the same call may send it once more
}

// Error says what happened and what to do next.
func (e *InDoubtError) Error() string {
	many := "s"
	if e.Attempts == 1 {
		many = ""
	}
	s := fmt.Sprintf("idem: %s (key %s) is in doubt after %d attempt%s: it may have happened", e.Operation, e.Key, e.Attempts, many)
	if e.Err != nil {
		s += fmt.Sprintf(" (%v)", e.Err)
	}
	if e.deaths > 0 {
		s += fmt.Sprintf("; parked after %d deaths of its owners, so Recover does not send it", e.deaths)
		if e.again {
			return s + "; the same call sends it once more under the same key; otherwise look there, then Client.Resolve"
		}
		return s + ": look there, then Client.Resolve"
	}
	if e.SafeUntil.IsZero() {
		return s + "; the far side promises nothing about keys: look there, then Client.Resolve"
	}
	return s + fmt.Sprintf("; until %s the same call, or Recover, may ask again under the same key; after that look there, then Client.Resolve",
		e.SafeUntil.UTC().Format(time.RFC3339))
}

// Is makes it ErrInDoubt.
func (e *InDoubtError) Is(target error) bool { return target == ErrInDoubt }

// Unwrap is what the last attempt left.
func (e *InDoubtError) Unwrap() error { return e.Err }

// toolError is how a tool function says what it knows of its own failure.
type toolError struct {
	kind error // ErrNotSent or ErrRefused
	err  error
}

func (e *toolError) Error() string { return fmt.Sprintf("%v: %v", e.kind, e.err) }

func (e *toolError) Unwrap() []error { return []error{e.kind, e.err} }

// NotSent is for a tool function: nothing left this machine, so the same call may
// be made again. It Is ErrNotSent and Is err. NotSent(nil) is nil.
func NotSent(err error) error {
	if err == nil {
		return nil
	}
	return &toolError{ErrNotSent, err}
}

// Refused is for a tool function: the far side refused and nothing happened; the
// refusal is the outcome, and arguments that are mended make a new intent. It Is
// ErrRefused and Is err. Refused(nil) is nil.
//
// Refused(NotSent(err)) is a refusal on this machine for a passing reason, such as
// an approval that is still to come: it is no outcome, and not tried again by
// itself, but the same call made again runs the function under the same key.
func Refused(err error) error {
	if err == nil {
		return nil
	}
	return &toolError{ErrRefused, err}
}

// because is an error of this package: a sentence for a person that Is kind, and
// Is cause where there is one.
type because struct {
	text  string
	kind  error
	cause error
	said  string // a refusal's own words, replayed
}

func (e *because) Error() string { return e.text }

func (e *because) Unwrap() []error {
	if e.cause == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.cause}
}

func failure(kind, cause error, format string, args ...any) error {
	return &because{text: "idem: " + fmt.Sprintf(format, args...), kind: kind, cause: cause}
}
