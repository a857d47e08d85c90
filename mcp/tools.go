package idemmcp

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/idem-go/idem"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// listed is the tool that a call names, as the server lists it to this session; nil:
// it lists none of that name.
func listed(ctx context.Context, req *mcp.CallToolRequest, next mcp.MethodHandler) (*mcp.Tool, error) {
	params := &mcp.ListToolsParams{}
	for {
		res, err := next(ctx, "tools/list", &mcp.ListToolsRequest{Session: req.Session, Params: params, Extra: req.Extra})
		if err != nil {
			return nil, fmt.Errorf("listing the tools: %w", err)
		}
		page, ok := res.(*mcp.ListToolsResult)
		if !ok {
			return nil, fmt.Errorf("listing the tools: the answer is a %T", res)
		}
		for _, tool := range page.Tools {
			if tool.Name == req.Params.Name {
				return tool, nil
			}
		}
		if page.NextCursor == "" {
			return nil, nil
		}
		params = &mcp.ListToolsParams{Cursor: page.NextCursor}
	}
}

// readOnly tells whether a tool changes nothing: where the policy says so and the
// hints do not speak against it. A hint that is missing speaks against it.
func readOnly(p idem.Policy, tool *mcp.Tool) bool {
	hints := tool.Annotations
	if p.Effect != idem.ReadOnly || hints == nil || !hints.ReadOnlyHint {
		return false
	}
	return hints.DestructiveHint == nil || !*hints.DestructiveHint
}

// schema is the input schema of a tool, ready for use.
type schema struct {
	of       *mcp.Tool
	resolved *jsonschema.Resolved
}

// validate refuses, before anything is begun, arguments that the handler would be
// refused with: a model that mends them has done nothing yet.
func (g *guard) validate(tool *mcp.Tool, args json.RawMessage) error {
	resolved, err := g.schema(tool)
	if err != nil {
		return fmt.Errorf("the tool's input schema: %w", err)
	}
	given := map[string]any{}
	if err := json.Unmarshal(args, &given); err != nil {
		return err
	}
	if resolved == nil {
		return nil
	}
	var value any = given
	if err := resolved.ApplyDefaults(&value); err != nil {
		return err
	}
	return resolved.Validate(&value)
}

// schema is the tool's schema, kept until another tool takes its name.
func (g *guard) schema(tool *mcp.Tool) (*jsonschema.Resolved, error) {
	g.mu.Lock()
	known := g.schemas[tool.Name]
	g.mu.Unlock()
	if known.of == tool {
		return known.resolved, nil
	}
	known = schema{of: tool}
	if tool.InputSchema != nil {
		// It may be a schema or any JSON, and resolving one changes it.
		text, err := json.Marshal(tool.InputSchema)
		if err != nil {
			return nil, err
		}
		parsed := &jsonschema.Schema{}
		if err := json.Unmarshal(text, parsed); err != nil {
			return nil, err
		}
		if known.resolved, err = parsed.Resolve(&jsonschema.ResolveOptions{}); err != nil {
			return nil, err
		}
	}
	g.mu.Lock()
	g.schemas[tool.Name] = known
	g.mu.Unlock()
	return known.resolved, nil
}
