package idem

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/idem-go/idem/internal/fingerprint"
	"github.com/idem-go/idem/internal/wire"
	"github.com/idem-go/idem/journal"
)

// Tool is a Go function behind an intent: whatever it does, it does once for each
// identity. Make one with NewTool.
type Tool[In, Out any] struct {
	client *Client
	entry  *toolEntry
}

// NewTool puts fn behind the client under a name, which is its operation's name;
// p is its policy, whatever WithPolicy says of that name. Register tools after
// Open and before Recover, which runs them again for what a crash left open.
//
// fn gets the intent's key, to hand on to whatever it calls, and must not keep ctx.
// It tells what it knows of a failure: NotSent (nothing left this machine), Refused
// (refused, nothing happened), or any other error, which means that it may have
// happened. Its input goes through JSON: what JSON does not carry does not reach
// it. It may be called again under the same key where the contract keeps keys.
//
// An empty name, a name registered already, a nil fn, and a policy that cannot be
// kept are errors.
func NewTool[In, Out any](c *Client, name string, p Policy, fn func(ctx context.Context, key string, in In) (Out, error)) (*Tool[In, Out], error) {
	if c == nil || fn == nil {
		return nil, fmt.Errorf("idem: tool %q: NewTool needs a client and a function", name)
	}
	if err := (Operation{Name: name}).Validate(); err != nil {
		return nil, err
	}
	if err := p.validate(name); err != nil {
		return nil, err
	}
	if err := c.options.checkMemory(name, &p); err != nil {
		return nil, err
	}
	e := &toolEntry{
		name: name, policy: p.clone(),
		decode: func(input []byte) ([]byte, error) {
			var in In
			if err := decodeStrict(input, &in); err != nil {
				return nil, err
			}
			return json.Marshal(in)
		},
		invoke: func(ctx context.Context, key string, input []byte) ([]byte, error) {
			var in In
			if err := decodeStrict(input, &in); err != nil {
				return nil, NotSent(err)
			}
			out, err := fn(ctx, key, in)
			if err != nil {
				return nil, err
			}
			raw, err := json.Marshal(out)
			if err != nil {
				return nil, &unencodable{err}
			}
			return raw, nil
		},
	}
	if err := c.register(e); err != nil {
		return nil, err
	}
	return &Tool[In, Out]{client: c, entry: e}, nil
}

// unencodable is an output that is not JSON: the function succeeded all the same.
type unencodable struct{ err error }

func (e *unencodable) Error() string { return "the output cannot be encoded as JSON: " + e.err.Error() }

// Call carries the tool out once for (scope, tool, id) and returns its output: a
// second call, in this process or after a restart, gets the first outcome. The
// scope is the context's (WithScope), as are Repeat and Cost (WithOperation). id is
// the caller's stable name of this use; Policy.ID may take it from the input.
//
// Errors are as Intent.Do's. A refusal Is ErrRefused, also when it is replayed; one
// that never left this machine Is ErrNotSent. Where fn panics, the intent is left
// in doubt, that is recorded, and Call panics with the same value.
func (t *Tool[In, Out]) Call(ctx context.Context, id string, in In) (Out, error) {
	var out Out
	input, err := json.Marshal(in)
	if err == nil {
		input, err = t.entry.decode(input) // as Client.Call has it, and as a recovered call will
	}
	if err != nil {
		return out, failure(ErrRefused, err, "tool %s: its input does not go through JSON: %v; nothing was done", t.entry.name, err)
	}
	raw, callErr := t.client.call(ctx, t.entry, id, input)
	if raw == nil {
		return out, callErr
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return out, failure(ErrForgotten, err, "tool %s: the recorded output no longer decodes (%v): its type changed since; read it with Client.Lookup", t.entry.name, err)
	}
	return out, callErr
}

// Call is an agent loop's dispatch: it carries out the named tool with the
// arguments a model wrote, and returns its output as JSON. An unknown name is
// ErrUnknownTool. Arguments that do not decode are ErrRefused: nothing was done,
// and the model may mend them. Otherwise it is as Tool.Call.
func (c *Client) Call(ctx context.Context, tool, id string, args json.RawMessage) (json.RawMessage, error) {
	e := c.tool(tool)
	if e == nil {
		return nil, failure(ErrUnknownTool, nil, "no tool %q is registered: nothing was done", tool)
	}
	input, err := e.decode(args)
	if err != nil {
		return nil, failure(ErrRefused, err, "tool %s: the arguments do not decode: %v; nothing was done", tool, err)
	}
	return c.call(ctx, e, id, input)
}

func (c *Client) call(ctx context.Context, e *toolEntry, id string, input []byte) ([]byte, error) {
	op := Operation{Name: e.name, ID: id}
	slot, _ := ctx.Value(frameKey).(*operationSlot)
	if slot != nil {
		from := slot.operation()
		op.Scope, op.Repeat, op.Cost = from.Scope, from.Repeat, from.Cost
	}
	op, err := c.admit(ctx, op)
	if err != nil {
		return nil, err
	}
	if int64(len(input)) > c.options.maxPayload {
		err := fmt.Errorf("the input has %d bytes, the limit is %d", len(input), c.options.maxPayload)
		return nil, failure(ErrRefused, err, "%s: %v: raise it with WithMaxPayload; nothing was done", op, err)
	}
	if e.policy.Effect == ReadOnly {
		return c.callReadOnly(ctx, e, op, input)
	}
	op.ID = c.payloadID(e.policy.ID, "application/json", input, op.ID)
	r := &journal.Record{
		Operation: op, FingerprintVersion: fingerprint.Version, Payload: input, Head: []byte("tool " + e.name),
		Fingerprint: c.fingerprint(toolPayload(e.name, input, &e.policy)), Terms: termsOf(&e.policy, true),
	}
	in := &Intent{}
	if err := c.begin(ctx, in, r, nil, &e.policy); err != nil {
		return nil, err
	}
	slot.met(in)
	outer, _ := ctx.Value(toolCallKey).(*toolCall)
	if outer.within(in.Key()) {
		return nil, fmt.Errorf("idem: tool %s calls itself under its own identity, %s: it would wait for itself; give the inner call another ID; nothing was sent by it", e.name, op)
	}
	reply, err := c.drive(ctx, in)
	if outer != nil {
		outer.saw(childFinding(in, err))
	}
	if reply == nil || reply.Truncated() {
		return nil, err
	}
	return bytes.Clone(reply.Body), err // who joined, or asks again, gets the same bytes
}

func (c *Client) register(e *toolEntry) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return failure(ErrClosed, nil, "tool %s: the client is closed", e.name)
	}
	if c.tools[e.name] != nil {
		return fmt.Errorf("idem: a tool %q is registered already: give each its own name", e.name)
	}
	c.tools[e.name] = e
	return nil
}

// checkTool refuses, before anything is claimed, an input that the function's type
// no longer takes: it would act on something else than what was asked for.
func (c *Client) checkTool(r *journal.Record) error {
	if !r.Terms.Tool {
		return nil
	}
	e := c.tool(r.Operation.Name)
	if e == nil {
		return failure(ErrUnknownTool, nil, "%s: no tool of that name is registered: register it with NewTool; the intent is left as it is", describe(r))
	}
	if _, err := e.decodeAgain(r.Payload); err != nil {
		return fmt.Errorf("idem: %s: the journaled input no longer decodes (%w): its type changed since; the intent is left as it is: change the type back, or Resolve it", describe(r), err)
	}
	return nil
}

func (r *run) toolAction() (action, error) {
	e := r.client.tool(r.record.Operation.Name)
	if e == nil {
		return action{}, r.client.checkTool(r.record)
	}
	return action{host: "tool " + e.name, call: func(ctx context.Context) wire.Exchange { return r.callTool(ctx, e) }}, nil
}

// toolReply is an output as an outcome.
func toolReply(out []byte, limit int64) *journal.Reply {
	reply := &journal.Reply{Body: out, Size: int64(len(out))}
	if reply.Size > limit {
		reply.Hash, reply.Body = sha256.Sum256(out), nil
	}
	return reply
}
