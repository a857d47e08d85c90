package idem

import (
	"context"
	"sync"

	"github.com/google/uuid"
)

type contextKey uint8

const (
	scopeKey    contextKey = iota
	frameKey               // the nearest *Intent or *operationSlot
	toolCallKey            // the *toolCall under way
	recoverKey             // set by Recover
	workKey                // the innermost *intentContext
)

// intentContext is the context of what is called for an intent that is being carried
// out: its attempts, Policy.Reconcile, a tool's function, an Observer.
type intentContext struct {
	context.Context
	in *Intent
}

// workingFor returns ctx as the context of what is called for an intent.
func workingFor(ctx context.Context, in *Intent) context.Context {
	if c, ok := ctx.(*intentContext); ok && c.in == in {
		return ctx
	}
	return &intentContext{ctx, in}
}

// Value implements context.Context.
func (c *intentContext) Value(key any) any {
	switch key {
	case frameKey:
		return c.in
	case workKey:
		return c
	}
	return c.Context.Value(key)
}

// worksFor reports whether ctx is that of something called for the intent with this
// key, at any depth.
func worksFor(ctx context.Context, key string) bool {
	for {
		c, ok := ctx.Value(workKey).(*intentContext)
		if !ok || c.in.Key() == key {
			return ok
		}
		ctx = c.Context
	}
}

// WithScope sets the scope of every operation begun under the context that names
// none of its own.
func WithScope(ctx context.Context, scope string) context.Context {
	return context.WithValue(ctx, scopeKey, scope)
}

func scopeOf(ctx context.Context) string {
	scope, _ := ctx.Value(scopeKey).(string)
	return scope
}

// operationSlot is what WithOperation puts into a context.
type operationSlot struct {
	op     Operation
	parent *Intent // the tool's, inside a tool function

	mu     sync.Mutex
	intent *Intent
}

// WithOperation says what the next write under the context is: Client.Transport
// reads it. A missing ID is minted here, once, so that an SDK that retries by
// itself meets one intent. A tool call takes Scope, Repeat and Cost from it.
//
// One operation is one write: another write under the same context is ErrMismatch.
// Inside a tool function the write is a child intent, whose scope is the key of
// the tool's intent. Name its ID where the function makes more than one write of
// the same name: without an ID, the name is the ID.
func WithOperation(ctx context.Context, op Operation) context.Context {
	slot := &operationSlot{op: op}
	switch frame := ctx.Value(frameKey).(type) {
	case *Intent:
		slot.parent = frame
	case *operationSlot:
		slot.parent = frame.parent
	}
	switch {
	case slot.op.ID != "":
	case slot.parent != nil:
		// A function that runs again must meet its own child, not make another.
		slot.op.ID = op.Name
	default:
		slot.op.ID = uuid.NewString()
	}
	return context.WithValue(ctx, frameKey, slot)
}

// FromContext is the intent being carried out: inside a tool function,
// Policy.Authorize, Policy.Reconcile or a base transport. On a context that
// WithOperation made, it is the intent that was begun under it, also after the
// call. ok is false where there is none.
func FromContext(ctx context.Context) (in *Intent, ok bool) {
	switch frame := ctx.Value(frameKey).(type) {
	case *Intent:
		return frame, true
	case *operationSlot:
		frame.mu.Lock()
		defer frame.mu.Unlock()
		return frame.intent, frame.intent != nil
	}
	return nil, false
}

// met keeps the intent that was begun under a slot; a nil slot keeps nothing.
func (s *operationSlot) met(in *Intent) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intent = in
}

// operation is the slot's operation, as a child's where it is inside a tool.
func (s *operationSlot) operation() Operation {
	op := s.op
	if s.parent != nil {
		op.Scope = s.parent.Key()
	}
	return op
}
