package idemmcp_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/idem-go/idem"
	idemmcp "github.com/idem-go/idem/mcp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type mail struct {
	To string `json:"to"`
}

// The client of an MCP server asks for the same mail twice, as a model does that
// plans again. It is sent once.
func ExampleMiddleware() {
	folder, err := os.MkdirTemp("", "idem-mcp-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	client, err := idem.Open(filepath.Join(folder, "server.db"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	server := mcp.NewServer(&mcp.Implementation{Name: "post", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "send_mail"}, func(_ context.Context, _ *mcp.CallToolRequest, in mail) (*mcp.CallToolResult, any, error) {
		fmt.Println("sent to", in.To)
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "sent"}}}, nil, nil
	})
	guard, err := idemmcp.Middleware(client, idemmcp.Options{
		Scope:    idemmcp.Single("ada"), // over HTTP: leave it out, and the bearer token says who
		Policies: map[string]idem.Policy{"send_mail": {ID: []string{"/to"}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server.AddReceivingMiddleware(guard)

	ctx := context.Background()
	near, far := mcp.NewInMemoryTransports()
	if _, err := server.Connect(ctx, far, nil); err != nil {
		fmt.Println(err)
		return
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, nil).Connect(ctx, near, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()
	for range 2 {
		res, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "send_mail", Arguments: mail{"bob@example.com"}})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(res.Content[0].(*mcp.TextContent).Text, "replayed:", res.Meta[idemmcp.MetaReplayed] == true)
	}
	// Output:
	// sent to bob@example.com
	// sent replayed: false
	// sent replayed: true
}
