package idem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/internal/wire"
	"github.com/idem-go/idem/journal"
)

// Transport is an http.RoundTripper for SDKs that own their requests. base is what
// attempts go through; nil is the client's own transport.
//
// A request of an unsafe method is the intent that its context's operation names
// (WithOperation): journaled, keyed, retried and replayed as Client.Do does it,
// with the SDK's own idempotency key replaced. Without an operation it is
// ErrNoIntent. GET, HEAD, OPTIONS and TRACE pass through.
//
// Inside a tool function, a request that names no operation of its own is the
// tool's one write: it carries the tool's key. The same write once more gets the
// same reply; another, different one is ErrMismatch: name each with WithOperation.
//
// Let one retry loop do the retrying: set the SDK's own to none.
func (c *Client) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = c.transport
	}
	return &transport{client: c, base: base}
}

type transport struct {
	client *Client
	base   http.RoundTripper
}

// RoundTrip implements http.RoundTripper. It changes nothing of the request.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return t.base.RoundTrip(req)
	}
	ctx := req.Context()
	switch frame := ctx.Value(frameKey).(type) {
	case *operationSlot:
		op := frame.operation()
		if p, _ := t.client.policies.of(op.Name); p.Effect == ReadOnly {
			return t.base.RoundTrip(req)
		}
		in, err := t.client.Begin(ctx, op, req)
		if err != nil {
			return nil, err
		}
		in.live.transport = t.base
		frame.met(in)
		resp, err := in.Do(ctx)
		if resp != nil {
			resp.Request = req
		}
		if call, ok := ctx.Value(toolCallKey).(*toolCall); ok {
			call.saw(childFinding(in, err)) // a tool cannot say that nothing was sent where its child was
		}
		if err != nil {
			return nil, err // net/http takes one or the other
		}
		return resp, nil
	case *Intent:
		if call, ok := ctx.Value(toolCallKey).(*toolCall); ok && call.in == frame {
			return t.insideTool(ctx, req, call)
		}
	}
	if req.Body != nil {
		req.Body.Close()
	}
	host := ""
	if req.URL != nil {
		host = req.URL.Host
	}
	return nil, failure(ErrNoIntent, nil,
		"%s %s: the request may change something, and its context names no operation: use WithOperation; nothing was sent", req.Method, host)
}

// childFinding is what a child intent's end proves for the tool that began it.
func childFinding(in *Intent, err error) lifecycle.AttemptResult {
	switch state := in.State(); {
	case errors.Is(err, ErrInDoubt) || state == InDoubt:
		return lifecycle.Unknown
	case state == Succeeded:
		return lifecycle.Done
	case in.FirstSent().IsZero():
		return lifecycle.NotSent
	}
	return lifecycle.Refused
}

// insideTool makes the one write of a tool function, under the tool's key.
func (t *transport) insideTool(ctx context.Context, req *http.Request, call *toolCall) (*http.Response, error) {
	c := t.client
	rec, _ := call.in.snapshot()
	p := *c.policyOf(rec) // a copy: who signs may be left out of it
	h, body, s, err := wire.Read(req, c.readOptions(&p))
	if err != nil {
		return nil, fmt.Errorf("idem: %s: %w; nothing was sent", describe(rec), err)
	}
	print := c.fingerprint(h.Payload(body, p.Contract.place(), p.Ignore))
	if !call.in.onlyWrite(print) {
		return nil, failure(ErrMismatch, nil,
			"%s made another write already: name each write of a tool with WithOperation, so that each has its own key; nothing was sent", describe(rec))
	}
	done, maybe, over := call.standing()
	switch {
	case done != nil: // the same write once more is the same write
		return responseTo(done, rec, req)
	case over:
		return nil, failure(ErrNotSent, nil,
			"%s: the tool's function has returned or its time is up: it may write no more under its key; nothing was sent", describe(rec))
	case maybe && !p.Contract.keepsKeys():
		return nil, failure(ErrInDoubt, nil,
			"%s: an earlier write of this call may have had its effect, and the far side promises nothing about keys: it is not sent again", describe(rec))
	}
	wired := *rec
	wired.Head, wired.Payload = h.Encode(), body
	w, err := wire.NewRequest(&wired, s)
	if err != nil {
		return nil, fmt.Errorf("idem: %s: %w; nothing was sent", describe(rec), err)
	}
	p.Authorize = withoutAuthorize(p.Authorize, req)
	at, started := c.clock.Now(), time.Now()
	x := wire.Send(ctx, w, c.sendOptions(w, &p, t.base, call.maySend))
	call.wrote(&x, at, time.Since(started))
	switch {
	case x.Reply == nil && x.Result == lifecycle.NotSent:
		return nil, NotSent(fmt.Errorf("idem: %s: %w", describe(rec), x.Err))
	case x.Reply == nil:
		return nil, fmt.Errorf("idem: %s: %w", describe(rec), x.Err)
	}
	return responseTo(&x, rec, req)
}

// responseTo is a whole reply, with the headers that are not kept.
func responseTo(x *wire.Exchange, rec *journal.Record, req *http.Request) (*http.Response, error) {
	if x.Reply.Truncated() {
		return nil, failure(ErrOutcomeTruncated, nil, "%s: the reply has %d bytes, over the limit: raise it with WithMaxReply", describe(rec), x.Reply.Size)
	}
	whole := *x.Reply
	whole.Header = x.Header
	return wire.Response(&whole, req), nil
}

// withoutAuthorize leaves out Policy.Authorize where the SDK signed the request.
func withoutAuthorize(authorize func(*http.Request) error, req *http.Request) func(*http.Request) error {
	if req.Header.Get("Authorization") != "" {
		return nil
	}
	return authorize
}

// onlyWrite remembers the first write of a tool's intent and tells whether this is
// the same one.
func (in *Intent) onlyWrite(print [32]byte) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.written == nil {
		in.written = &print
	}
	return *in.written == print
}
