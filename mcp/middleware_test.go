package idemmcp_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/idem-go/idem"
	idemmcp "github.com/idem-go/idem/mcp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
)

// One call is one intent: the handler runs once for an ID, its result is handed out
// again and marked, and the key that it saw is the one that the result names.
func TestTheSameCallIsDoneOnce(t *testing.T) {
	t.Parallel()
	c, d := newClient(t), &till{}
	server := newServer(d, nil)
	guarded(t, server, c, idemmcp.Options{Scope: idemmcp.Single("ada")})
	cs := connect(t, server, nil)
	args := map[string]any{"order": "1001", "cents": 500}
	var results []*mcp.CallToolResult
	for _, id := range []string{"step-1", "step-1", "step-2"} {
		res, err := cs.CallTool(testCtx(t), call("charge", id, args))
		require.NoError(t, err)
		require.False(t, res.IsError, textOf(res))
		results = append(results, res)
	}
	require.Equal(t, 2, d.count())
	require.Equal(t, map[string]any{"number": 1.0}, results[0].StructuredContent)
	require.Equal(t, results[0].StructuredContent, results[1].StructuredContent)
	require.Equal(t, textOf(results[0]), textOf(results[1]))
	require.Equal(t, map[string]any{"number": 2.0}, results[2].StructuredContent)
	for i, replayed := range []any{nil, true, nil} {
		require.Equal(t, replayed, results[i].Meta[idemmcp.MetaReplayed])
	}
	require.Equal(t, d.keys[0], results[0].Meta[idemmcp.MetaKey])
	require.Equal(t, d.keys[0], results[1].Meta[idemmcp.MetaKey])
	require.Equal(t, idem.Operation{Name: "charge", Scope: "ada", ID: "step-1"}, intents(t, c)[0].Operation())
	require.NotContains(t, string(intents(t, c)[0].Outcome()), "resultType", "that is the first session's")
}

// Without an ID in _meta the author's fields make it; _meta goes before them; where
// there is neither, each call is an intent of its own.
func TestWhereTheIDComesFrom(t *testing.T) {
	t.Parallel()
	c, d := newClient(t), &till{}
	server := newServer(d, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "other"}, func(ctx context.Context, _ *mcp.CallToolRequest, in chargeIn) (*mcp.CallToolResult, chargeOut, error) {
		return nil, chargeOut{d.note(ctx)}, nil
	})
	guarded(t, server, c, idemmcp.Options{
		Scope: idemmcp.Single("ada"), Policies: map[string]idem.Policy{"charge": {ID: []string{"/order"}}}, Prefix: "till.",
	})
	cs := connect(t, server, nil)
	for i, step := range []struct {
		tool, id, order string
		ran             int
	}{
		{"charge", "", "1001", 1}, {"charge", "", "1001", 1}, {"charge", "", "1002", 2},
		{"charge", "step-1", "1001", 3}, {"charge", "step-1", "1001", 3}, {"charge", "", "1001", 3},
		{"other", "", "1001", 4}, {"other", "", "1001", 5},
	} {
		res, err := cs.CallTool(testCtx(t), call(step.tool, step.id, map[string]any{"order": step.order, "cents": 500}))
		require.NoError(t, err)
		require.False(t, res.IsError, textOf(res))
		require.Equal(t, step.ran, d.count(), "call %d", i)
	}
	require.Equal(t, "till.charge", intents(t, c)[0].Operation().Name)
	for _, id := range []any{7, "", "a\nb", strings.Repeat("x", 600), nil} {
		_, err := cs.CallTool(testCtx(t), &mcp.CallToolParams{
			Meta: mcp.Meta{idemmcp.MetaID: id}, Name: "charge", Arguments: map[string]any{"order": "1003", "cents": 1},
		})
		require.ErrorContains(t, err, idemmcp.MetaID)
	}
	require.Equal(t, 5, d.count())
}

// A hint may tighten an effect and never relax it; a missing one is a side effect.
// What passes as a read is neither journaled nor keyed.
func TestHintsTightenAndNeverRelax(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for name, c := range map[string]struct {
		effect idem.Effect
		hints  *mcp.ToolAnnotations
		reads  bool
	}{
		"no policy, no hints":              {idem.SideEffect, nil, false},
		"no policy, the hint says read":    {idem.SideEffect, &mcp.ToolAnnotations{ReadOnlyHint: true}, false},
		"policy read, no hints":            {idem.ReadOnly, nil, false},
		"policy read, hint missing":        {idem.ReadOnly, &mcp.ToolAnnotations{Title: "Charge"}, false},
		"policy read, destructive":         {idem.ReadOnly, &mcp.ToolAnnotations{ReadOnlyHint: true, DestructiveHint: &yes}, false},
		"both say read":                    {idem.ReadOnly, &mcp.ToolAnnotations{ReadOnlyHint: true}, true},
		"both say read, and say it twice":  {idem.ReadOnly, &mcp.ToolAnnotations{ReadOnlyHint: true, DestructiveHint: &no}, true},
		"idempotent is no word for a read": {idem.ReadOnly, &mcp.ToolAnnotations{IdempotentHint: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, d := newClient(t), &till{}
			server := newServer(d, c.hints)
			guarded(t, server, client, idemmcp.Options{
				Scope: idemmcp.Single("ada"), Policies: map[string]idem.Policy{"charge": {Effect: c.effect}},
			})
			cs := connect(t, server, nil)
			for range 2 {
				_, err := cs.CallTool(testCtx(t), call("charge", "step-1", map[string]any{"order": "1001", "cents": 500}))
				require.NoError(t, err)
			}
			if c.reads {
				require.Equal(t, []string{"", ""}, d.keys)
				require.Empty(t, intents(t, client))
			} else {
				require.Equal(t, 1, d.count())
				require.Len(t, intents(t, client), 1)
			}
		})
	}
}

// What could not be done is refused before anything is begun, so that a model can
// mend it: unknown tools, arguments against the schema.
func TestWhatCannotBeDoneIsNotBegun(t *testing.T) {
	t.Parallel()
	c, d := newClient(t), &till{}
	server := newServer(d, nil)
	guarded(t, server, c, idemmcp.Options{Scope: idemmcp.Single("ada")})
	cs := connect(t, server, nil)
	_, err := cs.CallTool(testCtx(t), call("chrage", "step-1", nil))
	require.ErrorContains(t, err, `unknown tool "chrage"`)
	for says, args := range map[string]any{
		"cents":   map[string]any{"order": "1001", "cents": "five"},
		"missing": map[string]any{"order": "1001"},
		"tip":     map[string]any{"order": "1001", "cents": 5, "tip": 1},
		"array":   []any{1},
	} {
		res, err := cs.CallTool(testCtx(t), call("charge", "step-1", args))
		require.NoError(t, err)
		require.True(t, res.IsError)
		require.Contains(t, textOf(res), says)
		require.Contains(t, textOf(res), "nothing was done")
	}
	require.Zero(t, d.count())
	require.Empty(t, intents(t, c))
	res, err := cs.CallTool(testCtx(t), call("charge", "step-1", map[string]any{"order": "1001", "cents": 5}))
	require.NoError(t, err)
	require.False(t, res.IsError, "mended, under the same id")
}

// A handler's error says what it knows, and the model hears what it may do: also
// when it is only told again.
func TestWhatAHandlersErrorMeans(t *testing.T) {
	t.Parallel()
	for card, c := range map[string]struct {
		state    idem.State
		first    string // what the model hears
		again    string // of the same call
		runs     int
		runsMore int
	}{
		"declined": {idem.Failed, "refused: card declined", "It was refused and nothing happened (card declined)", 1, 0},
		"offline":  {idem.Failed, "not sent: no route to the bank", "not sent: no route to the bank", 2, 2},
		"lost":     {idem.InDoubt, "the line went dead\nIt may have happened", "It may have happened", 1, 0},
	} {
		t.Run(card, func(t *testing.T) {
			t.Parallel()
			client, d := newClient(t), &till{}
			server := newServer(d, nil)
			guarded(t, server, client, idemmcp.Options{Scope: idemmcp.Single("ada"), Default: idem.Policy{Retry: quick()}})
			cs := connect(t, server, nil)
			params := call("charge", "step-1", map[string]any{"order": "1001", "cents": 500, "card": card})
			for i, says := range []string{c.first, c.again} {
				res, err := cs.CallTool(testCtx(t), params)
				require.NoError(t, err)
				require.True(t, res.IsError)
				require.Contains(t, textOf(res), says)
				require.NotEmpty(t, res.Meta[idemmcp.MetaKey])
				require.Equal(t, c.runs+i*c.runsMore, d.count())
			}
			require.Equal(t, c.state, intents(t, client)[0].State())
		})
	}
}

// Mismatch and limit are told as advice; nothing is done.
func TestMismatchAndLimitAreAdvice(t *testing.T) {
	t.Parallel()
	c, d := newClient(t), &till{}
	server := newServer(d, nil)
	guarded(t, server, c, idemmcp.Options{
		Scope:   idemmcp.Single("ada"),
		Default: idem.Policy{Limit: idem.Limit{Cost: 700, Per: time.Hour}},
		Cost:    func(*mcp.CallToolRequest) int64 { return 500 },
	})
	cs := connect(t, server, nil)
	for _, step := range []struct {
		id    string
		cents int
		says  string
	}{
		{"step-1", 500, `"number":1`},
		{"step-1", 501, "asked for before with other values"},
		{"step-2", 500, "The limit for this action is reached"},
	} {
		res, err := cs.CallTool(testCtx(t), call("charge", step.id, map[string]any{"order": "1001", "cents": step.cents}))
		require.NoError(t, err)
		require.Contains(t, textOf(res), step.says)
	}
	require.Equal(t, 1, d.count())
}

// What is the server's own business is logged and not told: no path, no reason.
func TestTheServersOwnTroubleIsNotTold(t *testing.T) {
	t.Parallel()
	c, err := idem.Open(t.TempDir() + "/server.db")
	require.NoError(t, err)
	var log bytes.Buffer
	server := newServer(&till{}, nil)
	guarded(t, server, c, idemmcp.Options{Scope: idemmcp.Single("ada"), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	cs := connect(t, server, nil)
	require.NoError(t, c.Close())
	_, err = cs.CallTool(testCtx(t), call("charge", "step-1", map[string]any{"order": "1001", "cents": 500}))
	require.ErrorContains(t, err, "could not take this call")
	require.NotContains(t, err.Error(), "closed")
	require.Contains(t, log.String(), "closed")
}

// What cannot be set up says why.
func TestMiddlewareThatCannotBe(t *testing.T) {
	t.Parallel()
	_, err := idemmcp.Middleware(nil, idemmcp.Options{})
	require.ErrorContains(t, err, "needs a client")
	c := newClient(t)
	for _, o := range []idemmcp.Options{
		{Policies: map[string]idem.Policy{"charge": {Window: -1}}},
		{Default: idem.Policy{Window: -1}},
	} {
		_, err = idemmcp.Middleware(c, o)
		require.ErrorContains(t, err, "cannot be negative")
	}
}

// Recover cannot run a handler, which needs a session, and leaves what it finds to
// the client's own second call.
func TestRecoverLeavesAHandlerToTheClientsSecondCall(t *testing.T) {
	t.Parallel()
	c, d := newClient(t), &till{}
	server := newServer(d, nil)
	guarded(t, server, c, idemmcp.Options{Scope: idemmcp.Single("ada"), Default: idem.Policy{Contract: idem.Standard(), Retry: quick()}})
	cs := connect(t, server, nil)
	params := call("charge", "step-1", map[string]any{"order": "1001", "cents": 500, "card": "lost"})
	_, err := cs.CallTool(testCtx(t), params)
	require.NoError(t, err)
	require.Equal(t, 2, d.count())
	report, err := c.Recover(testCtx(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{InDoubt: 1}, report)
	require.Equal(t, 2, d.count())
	_, err = cs.CallTool(testCtx(t), params)
	require.NoError(t, err)
	require.Equal(t, 4, d.count())
	require.Equal(t, d.keys[0], d.keys[3])

}
