//go:build cgo

package sqlite_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// A dead owner is dead, also where a living process has its place by now: what it
// left open is finished by whoever comes, and what the living one has is left alone.
func TestADeadOwnersPlaceIsAnothersNow(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	dead := w.Agent(clientkit.AgentArgs{ID: "order-1", Cents: 500})
	left := w.Begin(dead)
	dead.Kill()
	alive := w.Agent(clientkit.AgentArgs{ID: "order-2", Cents: 500}) // the first place that is free
	kept := w.Begin(alive)

	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	report, err := c.Recover(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{Succeeded: 1, Skipped: 1, Reasons: map[string]int{"owner alive": 1}}, report)
	in, err := c.Lookup(testkit.Context(t), left)
	require.NoError(t, err)
	require.Equal(t, idem.Succeeded, in.State())
	in, err = c.Lookup(testkit.Context(t), kept)
	require.NoError(t, err)
	require.Equal(t, idem.Pending, in.State())

	alive.Tell("do")
	require.Contains(t, alive.Hear(), "200 ")
	require.Len(t, w.Server.Effects(), 2)
}

// Nobody's word settles what is being executed, in this process no more than in
// another: the attempt under way may have its effect at any moment.
func TestWhatRunsHereIsNotResolved(t *testing.T) {
	t.Parallel()
	g := clientkit.NewGated(t)
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", clientkit.Stripe()))
	in, err := c.Begin(testkit.Context(t), clientkit.Order(), testkit.NewInvoice(t, g.URL, 500))
	require.NoError(t, err)
	got := clientkit.Doing(testkit.Context(t), in)
	sent := g.Next()
	for _, state := range []idem.State{idem.Failed, idem.Succeeded} {
		err = c.Resolve(testkit.Context(t), in.Key(), idem.Resolution{State: state, Note: "Ada guessed"})
		require.ErrorContains(t, err, "being executed")
		require.ErrorContains(t, err, in.Key())
	}
	sent.Reply(http.StatusOK, `{"id":"in_1"}`)
	require.Equal(t, `{"id":"in_1"}`, (<-got).Body)
	require.Equal(t, idem.Succeeded, in.State())
}
