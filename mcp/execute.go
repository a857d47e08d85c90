package idemmcp

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/idem-go/idem"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// running is one tools/call on its way through the client: how to run the handler,
// and what it answered if it was this call that ran it.
type running struct {
	method string
	req    *mcp.CallToolRequest
	next   mcp.MethodHandler

	mu     sync.Mutex
	result *mcp.CallToolResult
}

type runningKey struct{}

var (
	errNeedsInput = errors.New("the tool asks for input")
	errNoSession  = errors.New("an MCP tool runs in its client's session only: the client's own second call finishes it")
)

// execute is the function behind every guarded tool.
func execute(ctx context.Context, _ string, _ json.RawMessage) (json.RawMessage, error) {
	r, ok := ctx.Value(runningKey{}).(*running)
	if !ok { // Recover has no session
		return nil, idem.Refused(idem.NotSent(errNoSession))
	}
	res, err := r.next(ctx, r.method, r.req)
	if err != nil {
		return nil, err
	}
	result, _ := res.(*mcp.CallToolResult)
	if result == nil {
		result = &mcp.CallToolResult{Content: []mcp.Content{}}
	}
	r.mu.Lock()
	r.result = result
	r.mu.Unlock()
	switch {
	case result.NeedsInput() || result.InputRequests != nil:
		return nil, idem.Refused(idem.NotSent(errNeedsInput))
	case !result.IsError:
		return outcome(result)
	case result.GetError() != nil:
		return nil, result.GetError()
	}
	return nil, errors.New(said(result))
}

// answered is what the handler answered, if this call ran it.
func (r *running) answered() *mcp.CallToolResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.result
}

// outcome is a result as it is recorded: without what belongs to the session that
// it was made in.
func outcome(result *mcp.CallToolResult) (json.RawMessage, error) {
	text, err := json.Marshal(result)
	if err != nil {
		return nil, err
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	delete(fields, "resultType")
	return json.Marshal(fields)
}

// said is a result's text.
func said(result *mcp.CallToolResult) string {
	for _, c := range result.Content {
		if text, ok := c.(*mcp.TextContent); ok && text.Text != "" {
			return text.Text
		}
	}
	return "the tool failed"
}

// failed is an error as a result, so that the model hears of it.
func failed(err error) *mcp.CallToolResult {
	result := &mcp.CallToolResult{}
	result.SetError(err)
	return result
}

// answer is what the caller gets.
func (g *guard) answer(ctx context.Context, op idem.Operation, r *running, raw json.RawMessage, err error) (*mcp.CallToolResult, error) {
	live := r.answered()
	switch {
	case err == nil && live != nil:
		return marked(ctx, live), nil
	case err == nil:
		recorded := &mcp.CallToolResult{}
		if err := json.Unmarshal(raw, recorded); err != nil {
			return nil, g.hidden(ctx, op, err)
		}
		return marked(ctx, recorded), nil
	case errors.Is(err, errNeedsInput) && live != nil:
		return live, nil
	}
	advice := idem.Advice(err)
	switch {
	case advice == "":
		return nil, g.hidden(ctx, op, err)
	case live == nil:
		live = &mcp.CallToolResult{}
	case errors.Is(err, idem.ErrRefused), errors.Is(err, idem.ErrNotSent):
		return marked(ctx, live), nil // the handler's own words
	}
	told := *live
	told.Content = append(append([]mcp.Content{}, live.Content...), &mcp.TextContent{Text: advice})
	told.StructuredContent = nil
	told.SetError(err)
	return marked(ctx, &told), nil
}

// marked says in _meta which intent a result is of.
func marked(ctx context.Context, result *mcp.CallToolResult) *mcp.CallToolResult {
	in, ok := idem.FromContext(ctx)
	if !ok {
		return result
	}
	whole := *result
	whole.Meta = mcp.Meta{}
	for name, value := range result.Meta {
		whole.Meta[name] = value
	}
	whole.Meta[MetaKey] = in.Key()
	if in.Replayed() {
		whole.Meta[MetaReplayed] = true
	}
	return &whole
}
