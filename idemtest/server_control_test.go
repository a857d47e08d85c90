package idemtest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/idem-go/idem/idemtest"
	"github.com/stretchr/testify/require"
)

// A test in another process can script the server, wait for it, let it go and
// read its ledger; nothing of that is an arrival.
func TestRemote(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t, idemtest.WithControl(), idemtest.WithRetention(time.Hour))
	a := newAgent(t, s)
	r := idemtest.Dial(s.URL() + "/")
	require.NoError(t, r.Script(ctx(t), idemtest.Fault{Kind: idemtest.HoldReply}, idemtest.Fault{Kind: idemtest.TooMany, RetryAfter: 3 * time.Second}))
	require.NoError(t, r.ScriptKey(ctx(t), "key 2&", idemtest.Fault{Kind: idemtest.CutBody, After: 3}))
	require.NoError(t, r.ScriptPath(ctx(t), "/v1/refunds", idemtest.Fault{Kind: idemtest.Unavailable503, RetryAfter: time.Minute}))

	waited := make(chan error, 1)
	go func() { waited <- r.Wait(ctx(t), 1, 1) }()
	held := a.async("key-1")
	require.NoError(t, <-waited)
	require.Empty(t, held)
	require.NoError(t, r.Release(ctx(t)))
	require.Equal(t, 200, (<-held).status)
	require.Equal(t, "3", a.create("key-3").header.Get("Retry-After"))
	require.Equal(t, `{"i`, a.create("key 2&").body)
	require.Equal(t, "60", a.send("POST", "/v1/refunds", "key-4", "").header.Get("Retry-After"))

	l, err := r.Ledger(ctx(t))
	require.NoError(t, err)
	require.Equal(t, s.Ledger(), l)
	require.Len(t, l.Arrivals, 4)
	require.Len(t, l.EffectsOf("key-1"), 1)
	require.Len(t, l.ArrivalsOf("key-1"), 1)
	require.NoError(t, r.Advance(ctx(t), time.Hour))
	require.True(t, s.Keys()[0].Expired)
}

// What the control plane cannot do, it says.
func TestRemoteErrors(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t, idemtest.WithControl())
	r := idemtest.Dial(s.URL())
	require.ErrorContains(t, r.Script(ctx(t), idemtest.Fault{Hold: make(chan struct{})}), "use Release")
	require.ErrorContains(t, r.Script(ctx(t), idemtest.Fault{Kind: 250}), "no fault kind")
	require.ErrorContains(t, r.Advance(ctx(t), -time.Hour), "positive duration")
	for _, row := range []struct{ method, what, body, want string }{
		{"POST", "script", `[{"kind":"unheard_of"}]`, "there are: drop_before"},
		{"POST", "script", `[{"kind":"429","retry_after":"soon"}]`, "invalid duration"},
		{"POST", "script", `[{"kind":"slow_reply","delay":"-1s"}]`, "cannot be negative"},
		{"POST", "script", `nonsense`, "invalid character"},
		{"POST", "script?key=a&path=b", `[]`, "not both"},
		{"GET", "wait?arrivals=many", "", "must be a count"},
		{"GET", "nothing", "", "there is no GET nothing"},
	} {
		req, err := http.NewRequestWithContext(ctx(t), row.method, s.URL()+"/_control/"+row.what, strings.NewReader(row.body))
		require.NoError(t, err)
		got := newAgent(t, s).do(req)
		require.GreaterOrEqual(t, got.status, 400)
		require.Contains(t, got.body, row.want)
	}
	soon, cancel := context.WithCancel(ctx(t))
	waited := make(chan error, 1)
	go func() { waited <- r.Wait(soon, 5, 0) }()
	cancel()
	require.ErrorIs(t, <-waited, context.Canceled)
	require.Empty(t, s.Arrivals())
	require.Zero(t, s.Scripted())

	off := idemtest.Start(t)
	require.ErrorContains(t, idemtest.Dial(off.URL()).Release(ctx(t)), "WithControl")
	require.ErrorContains(t, idemtest.Dial(off.RefusedURL()).Release(ctx(t)), "refused")
}

// Kinds and faults survive the way through JSON, and each kind has a name of
// its own.
func TestFaultsAsJSON(t *testing.T) {
	t.Parallel()
	names := make(map[string]bool)
	for _, kind := range append(idemtest.FaultKinds(), idemtest.NoFault) {
		require.NotEmpty(t, kind.String())
		require.False(t, names[kind.String()], kind.String())
		names[kind.String()] = true
		in := idemtest.Fault{Kind: kind, Delay: time.Second, RetryAfter: time.Minute, After: 3, Size: 4}
		text, err := json.Marshal(in)
		require.NoError(t, err)
		var out idemtest.Fault
		require.NoError(t, json.Unmarshal(text, &out))
		require.Equal(t, in, out)
	}
	_, err := json.Marshal(idemtest.FaultKind(240))
	require.ErrorContains(t, err, "FaultKind(240)")
}
