package idemmcp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	idemmcp "github.com/idem-go/idem/mcp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
)

// With these the test binary is an MCP server over stdio.
const (
	stdioJournal  = "IDEM_MCP_STDIO_JOURNAL"
	stdioPayments = "IDEM_MCP_STDIO_PAYMENTS"
)

// serveStdio is a server whose tool charges at a Stripe-style server, through the
// client's Transport.
func serveStdio(journal, payments string) (err error) {
	client, err := idem.Open(journal)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	sdk := &http.Client{Transport: client.Transport(nil)}
	server := mcp.NewServer(&mcp.Implementation{Name: "till", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "charge"}, func(ctx context.Context, _ *mcp.CallToolRequest, in chargeIn) (*mcp.CallToolResult, any, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, payments+"/v1/charges", strings.NewReader(fmt.Sprintf("amount=%d&currency=eur", in.Cents)))
		if err != nil {
			return nil, nil, idem.NotSent(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Authorization", "Bearer sk_test_idem")
		resp, err := sdk.Do(req)
		if err != nil {
			return nil, nil, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, nil, err
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(body)}}}, nil, nil
	})
	guard, err := idemmcp.Middleware(client, idemmcp.Options{
		Scope: idemmcp.Single("local user"), Policies: map[string]idem.Policy{"charge": {Contract: idem.Stripe(), ID: []string{"/order"}, Retry: quick()}},
	})
	if err != nil {
		return err
	}
	server.AddReceivingMiddleware(guard)
	if _, err := client.Recover(context.Background()); err != nil {
		return err
	}
	return server.Run(context.Background(), &mcp.StdioTransport{})
}

// stdio starts a server process and a session with it.
func stdio(t *testing.T, journal, payments string) (*mcp.ClientSession, *exec.Cmd) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), stdioJournal+"="+journal, stdioPayments+"="+payments, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	client := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, nil)
	cs, err := client.Connect(testCtx(t), &mcp.CommandTransport{Command: cmd}, nil)
	require.NoError(t, err)
	return cs, cmd
}

// One intent, one effect, over a real stdio session: a server process killed between
// the effect and the result finishes the call, when it comes again, under the same
// key.
func TestAKilledServerFinishesTheCallWhenItComesAgain(t *testing.T) {
	t.Parallel()
	payments := idemtest.Start(t)
	require.NoError(t, payments.Script(idemtest.Fault{Kind: idemtest.HoldReply}))
	journal := filepath.Join(t.TempDir(), "server.db")
	cs, cmd := stdio(t, journal, payments.URL())
	ended := make(chan error, 1)
	params := call("charge", "", map[string]any{"order": "1001", "cents": 500})
	go func() {
		_, err := cs.CallTool(testCtx(t), params)
		ended <- err
	}()
	require.NoError(t, payments.WaitEffects(testCtx(t), 1))
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, <-ended)
	require.Error(t, cs.Close(), "the server was killed")
	payments.Release()

	cs, _ = stdio(t, journal, payments.URL())
	var first string
	for i := range 2 {
		res, err := cs.CallTool(testCtx(t), params)
		require.NoError(t, err)
		require.False(t, res.IsError, textOf(res))
		require.Contains(t, textOf(res), `"amount":500`)
		if i > 0 {
			require.Equal(t, first, textOf(res))
		}
		first = textOf(res)
	}
	require.NoError(t, cs.Close())
	require.Len(t, payments.Effects(), 1)
	require.Len(t, payments.Arrivals(), 2)
	require.Empty(t, payments.Check())
}
