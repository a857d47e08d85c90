package idemmcp_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/idem-go/idem"
	idemmcp "github.com/idem-go/idem/mcp"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
)

// bearer puts a token on each request, as an authorized client does.
type bearer string

func (b bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(req)
}

// overHTTP serves on a real socket, to users whose token is their name.
func overHTTP(t testing.TB, server *mcp.Server) (dial func(user string) *mcp.ClientSession) {
	t.Helper()
	verify := func(_ context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
		user, ok := strings.CutPrefix(token, "token-of-")
		if !ok {
			return nil, auth.ErrInvalidToken
		}
		return &auth.TokenInfo{UserID: user, Expiration: time.Now().Add(time.Hour)}, nil
	}
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	listener := httptest.NewServer(auth.RequireBearerToken(verify, nil)(handler))
	t.Cleanup(listener.Close)
	return func(user string) *mcp.ClientSession {
		client := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, nil)
		cs, err := client.Connect(testCtx(t), &mcp.StreamableClientTransport{
			Endpoint: listener.URL, HTTPClient: &http.Client{Transport: bearer("token-of-" + user)},
		}, nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, cs.Close()) })
		return cs
	}
}

// The scope is who the session proved to be, over a real HTTP session: two users may
// use the same ID, and neither what the caller writes in _meta nor an argument makes
// one the other. A user who comes back in another session is the same.
func TestTheScopeIsTheAuthenticatedUser(t *testing.T) {
	t.Parallel()
	c, d := newClient(t), &till{}
	server := newServer(d, nil)
	guarded(t, server, c, idemmcp.Options{})
	dial := overHTTP(t, server)
	for i, user := range []string{"ada", "bob", "ada"} {
		params := call("charge", "step-1", map[string]any{"order": "1001", "cents": 500})
		params.Meta["scope"], params.Meta["io.github.idem-go/scope"], params.Meta["tenant"] = "ada", "ada", "ada"
		res, err := dial(user).CallTool(testCtx(t), params)
		require.NoError(t, err)
		require.False(t, res.IsError, textOf(res))
		require.Equal(t, i == 2, res.Meta[idemmcp.MetaReplayed] == true)
	}
	require.Equal(t, []string{"ada", "bob"}, d.scopes)
	require.NotEqual(t, d.keys[0], d.keys[1])
}

// Without somebody to do it for, nothing is done: no token, an empty scope, a scope
// function that fails. What only reads is not asked for whom.
func TestAScopeIsRequired(t *testing.T) {
	t.Parallel()
	for name, scope := range map[string]func(context.Context, *mcp.CallToolRequest) (string, error){
		"no token": nil,
		"empty":    idemmcp.Single(""),
		"an error": func(context.Context, *mcp.CallToolRequest) (string, error) {
			return "ada", errors.New("unknown tenant")
		},
	} {
		c, d := newClient(t), &till{}
		server := newServer(d, nil)
		mcp.AddTool(server, &mcp.Tool{Name: "balance", Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true}},
			func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
				return nil, nil, nil
			})
		guarded(t, server, c, idemmcp.Options{Scope: scope, Policies: map[string]idem.Policy{"balance": {Effect: idem.ReadOnly}}})
		cs := connect(t, server, nil)
		_, err := cs.CallTool(testCtx(t), call("charge", "step-1", map[string]any{"order": "1001", "cents": 500}))
		require.ErrorContains(t, err, "for whom", name)
		require.ErrorContains(t, err, "nothing was done", name)
		_, err = cs.CallTool(testCtx(t), call("balance", "", nil))
		require.NoError(t, err, name)
		require.Zero(t, d.count())
		require.Empty(t, intents(t, c))
	}
}
