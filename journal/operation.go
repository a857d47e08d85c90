package journal

import (
	"errors"
	"fmt"
	"time"
)

// Operation names what is done and which use of it is meant. Scope, Name, ID and
// Repeat together are the identity of an intent. The caller sets the fields.
type Operation struct {
	// Name is what is done, such as "create_invoice". A policy applies to an operation
	// by its name. It must not be empty.
	Name string

	// Scope is the tenant, the user or the agent run in which ID is unique. Empty: the
	// scope of the context (WithScope), or no scope.
	Scope string

	// ID is the caller's stable name of the intent, such as an order number or a step
	// of a plan. Empty: each call is a new intent, unless Policy.ID makes an ID of the
	// payload.
	ID string

	// Repeat tells intended repetitions apart: 0 is the first execution, 1 the first
	// repetition. A repetition is not checked against the duplicate window.
	Repeat int

	// Cost is the cost of one execution in a unit that the caller chooses, such as
	// cents or tokens. Limits and Stats add it up. 0: it costs nothing.
	Cost int64
}

// String returns op as messages show it, such as "charge order-1 (repeat 1) in
// run-42".
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

// SameIdentity reports whether op and other have the same Scope, Name, ID and
// Repeat. Cost is no part of the identity. SameIdentity does not treat an empty ID
// specially, although two intents with an empty ID are never the same intent.
func (op Operation) SameIdentity(other Operation) bool {
	return op.Name == other.Name && op.Scope == other.Scope && op.ID == other.ID && op.Repeat == other.Repeat
}

// maxNameLength is the greatest length of Name, Scope and ID, in bytes.
const maxNameLength = 512

// Validate returns an error if an intent cannot have this operation: Name is empty,
// Name, Scope or ID has more than 512 bytes or a control character, or Repeat or
// Cost is negative. The client validates each operation before Begin.
func (op Operation) Validate() error {
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

// State is the state of an intent. The zero value is Pending.
type State uint8

const (
	// Pending means that the intent is not settled. It may have been sent or not.
	Pending State = iota

	// Succeeded means that the intent had its effect, and its first outcome is
	// recorded. An intent that has Succeeded never changes its state.
	Succeeded

	// Failed means that the intent had no effect, which is proven. FailedNotSent and
	// FailedTransient can be sent again and become Pending; other failures are final.
	Failed

	// InDoubt means that the intent may have had its effect, and that sending it again
	// is not known to be safe or did not settle it. It can still become Succeeded or
	// Failed.
	InDoubt
)

// String returns s as messages show it: "pending", "succeeded", "failed" or "in
// doubt". It returns "state" and the number for any other value.
func (s State) String() string {
	names := [...]string{"pending", "succeeded", "failed", "in doubt"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Limit is a budget for the intents of one scope and operation in a sliding time. It
// counts the intents that are not Failed and were created under a policy with a Limit
// or a Window. A call that does not fit fails with ErrLimit and sends nothing. The
// zero value is no limit.
type Limit struct {
	// Intents is the greatest number of intents within Per. 0: any number.
	Intents int

	// Cost is the greatest sum of their Operation.Cost within Per. 0: any sum.
	Cost int64

	// Per is the length of the sliding time, counted back from now. It must be set if
	// Intents or Cost is.
	Per time.Duration
}

// String returns l as messages show it, such as "10 intents in 1h0m0s".
func (l Limit) String() string {
	switch {
	case l.Intents > 0 && l.Cost > 0:
		return fmt.Sprintf("%d intents and a cost of %d in %v", l.Intents, l.Cost, l.Per)
	case l.Cost > 0:
		return fmt.Sprintf("a cost of %d in %v", l.Cost, l.Per)
	}
	return fmt.Sprintf("%d intents in %v", l.Intents, l.Per)
}
