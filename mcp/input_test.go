package idemmcp_test

import (
	"context"
	"errors"
	"testing"

	"github.com/idem-go/idem"
	idemmcp "github.com/idem-go/idem/mcp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
)

// newDeployer is a server whose tool deploy asks before it acts, and whose till
// counts what was asked and what was done.
func newDeployer(t *testing.T, d *till, c *idem.Client, contract idem.Contract) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "deployer", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "deploy"}, func(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		answer, ok := req.Params.InputResponses["confirm"].(*mcp.ElicitResult)
		if !ok {
			d.mu.Lock()
			d.asked++
			d.mu.Unlock()
			return &mcp.CallToolResult{
				InputRequests: mcp.InputRequestMap{"confirm": &mcp.ElicitParams{Message: "Deploy?"}}, RequestState: "deployment-7",
			}, nil, nil
		}
		if answer.Action != "accept" {
			return nil, nil, idem.Refused(errors.New("the user said no"))
		}
		return nil, map[string]any{"deployed": d.note(ctx)}, nil
	})
	guarded(t, server, c, idemmcp.Options{
		Scope:    idemmcp.Single("ada"),
		Policies: map[string]idem.Policy{"deploy": {Contract: contract, Retry: quick()}},
	})
	return server
}

func answering(action string) *mcp.ClientOptions {
	return &mcp.ClientOptions{ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
		return &mcp.ElicitResult{Action: action}, nil
	}}
}

// A result that asks for input is no outcome: the same intent goes on with the
// answer, under the same key, is done once, and is handed out without asking again.
// So it is with a far side that keeps keys and with one that promises nothing, and
// for clients of both ways of asking.
func TestAskingForInputIsNoOutcome(t *testing.T) {
	t.Parallel()
	for name, contract := range map[string]idem.Contract{"keeps keys": idem.Standard(), "promises nothing": {}} {
		for _, version := range []string{"", "2025-06-18"} {
			t.Run(name+version, func(t *testing.T) {
				t.Parallel()
				c, d := newClient(t), &till{}
				server := newDeployer(t, d, c, contract)
				near, far := mcp.NewInMemoryTransports()
				ss, err := server.Connect(testCtx(t), far, nil)
				require.NoError(t, err)
				client := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, answering("accept"))
				cs, err := client.Connect(testCtx(t), near, &mcp.ClientSessionOptions{ProtocolVersion: version})
				require.NoError(t, err)
				for i := range 2 {
					res, err := cs.CallTool(testCtx(t), call("deploy", "step-1", nil))
					require.NoError(t, err)
					require.False(t, res.IsError, textOf(res))
					require.Equal(t, map[string]any{"deployed": 1.0}, res.StructuredContent)
					require.Equal(t, i > 0, res.Meta[idemmcp.MetaReplayed] == true)
				}
				require.Equal(t, 1, d.count())
				require.Equal(t, 1, d.asked)
				all := intents(t, c)
				require.Len(t, all, 1)
				require.Equal(t, idem.Succeeded, all[0].State())
				require.Equal(t, all[0].Key(), d.keys[0])
				require.NoError(t, cs.Close())
				require.NoError(t, ss.Wait())
			})
		}
	}
}

// While the answer is open nothing has happened: the intent has not succeeded, and
// the client that answers by itself sees what it must echo.
func TestAnOpenQuestionLeavesTheIntentUnsent(t *testing.T) {
	t.Parallel()
	c, d := newClient(t), &till{}
	cs := connect(t, newDeployer(t, d, c, idem.Contract{}), &mcp.ClientOptions{MultiRoundTrip: &mcp.MultiRoundTripOptions{Disabled: true}})
	res, err := cs.CallTool(testCtx(t), call("deploy", "step-1", nil))
	require.NoError(t, err)
	require.True(t, res.NeedsInput())
	require.Equal(t, "deployment-7", res.RequestState)
	in := intents(t, c)[0]
	require.Equal(t, idem.Failed, in.State())
	require.True(t, in.FirstSent().IsZero())

	params := call("deploy", "step-1", nil)
	params.RequestState = res.RequestState
	params.InputResponses = mcp.InputResponseMap{"confirm": &mcp.ElicitResult{Action: "accept"}}
	res, err = cs.CallTool(testCtx(t), params)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"deployed": 1.0}, res.StructuredContent)
	require.Equal(t, in.Key(), d.keys[0])
}

// A refusal by the user is an outcome.
func TestAUsersNoIsAnOutcome(t *testing.T) {
	t.Parallel()
	c, d := newClient(t), &till{}
	cs := connect(t, newDeployer(t, d, c, idem.Contract{}), answering("decline"))
	for range 2 {
		res, err := cs.CallTool(testCtx(t), call("deploy", "step-1", nil))
		require.NoError(t, err)
		require.Contains(t, textOf(res), "the user said no")
	}
	require.Equal(t, 1, d.asked)
	require.Zero(t, d.count())
}
