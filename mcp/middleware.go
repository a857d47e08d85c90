package idemmcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"unicode"

	"github.com/idem-go/idem"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The names of this package in _meta.
const (
	// MetaID is where a caller names its call: a string that is the same in each try.
	MetaID = "io.github.idem-go/id"
	// MetaKey is where a result says which key its intent has.
	MetaKey = "io.github.idem-go/key"
	// MetaReplayed is true in a result that was recorded before.
	MetaReplayed = "io.github.idem-go/replayed"
)

const maxID = 512 // bytes, as an Operation takes them

// Options says how a server's tools are guarded. The zero Options takes every tool
// for a side effect at most once, for the users of bearer tokens.
type Options struct {
	// Scope is who calls, as the session proves it: a user, a tenant. Never take it
	// from the request's arguments or _meta. An error, or an empty scope, refuses the
	// call. nil: User.
	Scope func(ctx context.Context, req *mcp.CallToolRequest) (string, error)

	// Policies are the tools' own policies, by tool name.
	Policies map[string]idem.Policy

	// Default is the policy of every other tool.
	Default idem.Policy

	// Prefix goes before a tool's name in its operation's name, for two servers on one
	// client.
	Prefix string

	// Cost is what one execution costs, for Policy.Limit. nil: 0.
	Cost func(req *mcp.CallToolRequest) int64

	// Logger hears of what the caller is not told: errors of the journal. nil: silent.
	Logger *slog.Logger
}

// User is the scope of a session with a bearer token: its user, as the server's
// token verifier named it. A session without one is refused.
func User(_ context.Context, req *mcp.CallToolRequest) (string, error) {
	if req.Extra == nil || req.Extra.TokenInfo == nil || req.Extra.TokenInfo.UserID == "" {
		return "", errors.New("the session has no authenticated user")
	}
	return req.Extra.TokenInfo.UserID, nil
}

// Single is the scope of a server that one user alone reaches, over stdio above all.
func Single(name string) func(context.Context, *mcp.CallToolRequest) (string, error) {
	return func(context.Context, *mcp.CallToolRequest) (string, error) { return name, nil }
}

// Middleware guards a server's tools/call: give it to AddReceivingMiddleware, before
// (outside) any other middleware that answers tool calls by itself, and once for each
// client. Other methods pass through.
//
// A policy that contradicts itself is an error. A tool name that the client has as a
// tool of its own already is an error of the first call: set Options.Prefix.
func Middleware(client *idem.Client, o Options) (mcp.Middleware, error) {
	if client == nil {
		return nil, errors.New("idemmcp: Middleware needs a client: it is nil")
	}
	for tool, p := range o.Policies {
		if err := p.Validate(tool); err != nil {
			return nil, err
		}
	}
	if err := o.Default.Validate("every other tool"); err != nil {
		return nil, err
	}
	if o.Scope == nil {
		o.Scope = User
	}
	o.Policies = maps.Clone(o.Policies)
	g := &guard{client: client, options: o, schemas: map[string]schema{}, registered: map[string]bool{}}
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			call, ok := req.(*mcp.CallToolRequest)
			if !ok {
				return next(ctx, method, req)
			}
			res, err := g.call(ctx, method, call, next)
			if res == nil {
				return nil, err
			}
			return res, err
		}
	}, nil
}

// guard is the middleware's own state.
type guard struct {
	client  *idem.Client
	options Options

	mu         sync.Mutex
	schemas    map[string]schema // by tool name
	registered map[string]bool
}

func (g *guard) call(ctx context.Context, method string, req *mcp.CallToolRequest, next mcp.MethodHandler) (*mcp.CallToolResult, error) {
	tool, err := listed(ctx, req, next)
	if err != nil {
		return nil, err
	}
	if tool == nil { // whoever calls cannot make us journal tools that are not there
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: fmt.Sprintf("unknown tool %q", req.Params.Name)}
	}
	p, ok := g.options.Policies[tool.Name]
	if !ok {
		p = g.options.Default
	}
	if readOnly(p, tool) {
		res, err := next(ctx, method, req)
		result, _ := res.(*mcp.CallToolResult)
		return result, err
	}
	args := req.Params.Arguments
	if len(args) == 0 {
		args = json.RawMessage("{}")
	}
	if err := g.validate(tool, args); err != nil {
		return failed(fmt.Errorf("validating \"arguments\": %w; nothing was done", err)), nil
	}
	op, err := g.operation(ctx, req, p, args)
	if err != nil {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: err.Error()}
	}
	if err := g.register(op.Name, p); err != nil {
		return nil, g.hidden(ctx, op, err)
	}
	r := &running{method: method, req: req, next: next}
	ctx = idem.WithOperation(context.WithValue(ctx, runningKey{}, r), op)
	raw, err := g.client.Call(ctx, op.Name, op.ID, args)
	return g.answer(ctx, op, r, raw, err)
}

// operation is which use of which tool a call is, and whose.
func (g *guard) operation(ctx context.Context, req *mcp.CallToolRequest, p idem.Policy, args json.RawMessage) (idem.Operation, error) {
	op := idem.Operation{Name: g.options.Prefix + req.Params.Name}
	var err error
	if op.Scope, err = g.options.Scope(ctx, req); err == nil && op.Scope == "" {
		err = errors.New("the session has no scope")
	}
	if err != nil {
		return op, fmt.Errorf("the tool does something, so it needs to know for whom: %w; nothing was done", err)
	}
	if named, ok := req.Params.Meta[MetaID]; ok {
		id, isText := named.(string)
		if !isText || id == "" || len(id) > maxID || strings.ContainsFunc(id, unicode.IsControl) {
			return op, fmt.Errorf("_meta[%q] is not a text of 1 to %d bytes without control characters; nothing was done", MetaID, maxID)
		}
		op.ID = id
	} else {
		op.ID = g.client.PayloadID(args, p.ID...)
	}
	if g.options.Cost != nil {
		op.Cost = g.options.Cost(req)
	}
	return op, nil
}

// register makes a tool known to the client, once. It is done with its first call,
// so that a Recover at the start leaves what it cannot run as it is.
func (g *guard) register(name string, p idem.Policy) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.registered[name] {
		return nil
	}
	p.Effect = idem.SideEffect // whatever the policy says: the hints did not agree
	p.ID = nil                 // the call has its ID already, and _meta goes before it
	_, err := idem.NewTool(g.client, name, p, execute)
	g.registered[name] = err == nil
	return err
}

// hidden is an error that is not the caller's business: it is logged, and the caller
// hears that there was one.
func (g *guard) hidden(ctx context.Context, op idem.Operation, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if g.options.Logger != nil {
		g.options.Logger.ErrorContext(ctx, "idemmcp: a tool call failed in this server", "operation", op.Name, "error", err)
	}
	return &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "the server could not take this call: try it again later with the same id"}
}
