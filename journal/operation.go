package journal

import (
	"errors"
	"fmt"
	"time"
)

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

// SameIdentity reports whether op and other have the same Scope, Name, ID and
// Repeat. Cost is no part of the identity. SameIdentity does not treat an empty ID
// specially, although two intents with an empty ID are never the same intent.
func (op Operation) SameIdentity(other Operation) bool {
	return op.Name == other.Name && op.Scope == other.Scope && op.ID == other.ID && op.Repeat == other.Repeat
}

const maxNameLength = 512 // of an operation's name, scope and ID, in bytes

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

// Limit is a budget for one scope and operation in a sliding time. Failed intents
// do not count. The zero Limit is none.
type Limit struct {
	Intents int           // at most so many intents; 0: any number
	Cost    int64         // at most so much of Operation.Cost together; 0: any
	Per     time.Duration // in so long a time, counted back from now
}

// String is the limit as messages have it.
func (l Limit) String() string {
	switch {
	case l.Intents > 0 && l.Cost > 0:
		return fmt.Sprintf("%d intents and a cost of %d in %v", l.Intents, l.Cost, l.Per)
	case l.Cost > 0:
		return fmt.Sprintf("a cost of %d in %v", l.Cost, l.Per)
	}
	return fmt.Sprintf("%d intents in %v", l.Intents, l.Per)
}
