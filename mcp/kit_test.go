package idemmcp_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/idem-go/idem"
	idemmcp "github.com/idem-go/idem/mcp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if journal := os.Getenv(stdioJournal); journal != "" {
		if err := serveStdio(journal, os.Getenv(stdioPayments)); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func testCtx(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func newClient(t testing.TB, opts ...idem.Option) *idem.Client {
	t.Helper()
	c, err := idem.Open(filepath.Join(t.TempDir(), "server.db"), opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// quick tries twice and hardly waits.
func quick() idem.Retry {
	return idem.Retry{MaxAttempts: 2, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond}
}

type chargeIn struct {
	Order string `json:"order"`
	Cents int    `json:"cents"`
	Card  string `json:"card,omitempty"`
}

type chargeOut struct {
	Number int `json:"number"`
}

// till counts what its tools did.
type till struct {
	mu     sync.Mutex
	keys   []string
	scopes []string
	asked  int
}

func (d *till) note(ctx context.Context) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	key, scope := "", ""
	if in, ok := idem.FromContext(ctx); ok {
		key, scope = in.Key(), in.Operation().Scope
	}
	d.keys, d.scopes = append(d.keys, key), append(d.scopes, scope)
	return len(d.keys)
}

func (d *till) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.keys)
}

// newServer is an MCP server with the tool charge, which the card says how to end.
func newServer(d *till, annotations *mcp.ToolAnnotations) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "till", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "charge", Annotations: annotations},
		func(ctx context.Context, _ *mcp.CallToolRequest, in chargeIn) (*mcp.CallToolResult, chargeOut, error) {
			n := d.note(ctx)
			switch in.Card {
			case "declined":
				return nil, chargeOut{}, idem.Refused(errors.New("card declined"))
			case "offline":
				return nil, chargeOut{}, idem.NotSent(errors.New("no route to the bank"))
			case "lost":
				return nil, chargeOut{}, errors.New("the line went dead")
			}
			return nil, chargeOut{n}, nil
		})
	return server
}

func guarded(t testing.TB, server *mcp.Server, c *idem.Client, o idemmcp.Options) {
	t.Helper()
	guard, err := idemmcp.Middleware(c, o)
	require.NoError(t, err)
	server.AddReceivingMiddleware(guard)
}

// connect is a client's session with a server over the SDK's in-memory transport.
func connect(t testing.TB, server *mcp.Server, o *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	near, far := mcp.NewInMemoryTransports()
	ss, err := server.Connect(testCtx(t), far, nil)
	require.NoError(t, err)
	client := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, o)
	cs, err := client.Connect(testCtx(t), near, nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, cs.Close())
		require.NoError(t, ss.Wait())
	})
	return cs
}

// call is a tool call; id "" leaves _meta out.
func call(tool, id string, args any) *mcp.CallToolParams {
	p := &mcp.CallToolParams{Name: tool, Arguments: args}
	if id != "" {
		p.Meta = mcp.Meta{idemmcp.MetaID: id}
	}
	return p
}

// textOf is all of a result's text.
func textOf(res *mcp.CallToolResult) string {
	var all []string
	for _, c := range res.Content {
		if text, ok := c.(*mcp.TextContent); ok {
			all = append(all, text.Text)
		}
	}
	return strings.Join(all, "\n")
}

// intents are all of a journal's intents.
func intents(t testing.TB, c *idem.Client) (all []*idem.Intent) {
	t.Helper()
	for in, err := range c.Intents(testCtx(t), idem.Filter{}) {
		require.NoError(t, err)
		all = append(all, in)
	}
	return all
}
