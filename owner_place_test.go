package idem_test

import (
	"net/http"
	"testing"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// A dead owner is dead, also where a living process has its place by now: what it
// left open is finished by whoever comes, and what the living one has is left alone.
func TestADeadOwnersPlaceIsAnothersNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dead := w.agent(agentArgs{ID: "order-1", Cents: 500})
	left := w.begin(dead)
	dead.kill()
	alive := w.agent(agentArgs{ID: "order-2", Cents: 500}) // the first place that is free
	kept := w.begin(alive)

	c := w.open(idem.WithPolicy("create_invoice", stripe()))
	report, err := c.Recover(testCtx(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{Succeeded: 1, Skipped: 1}, report)
	in, err := c.Lookup(testCtx(t), left)
	require.NoError(t, err)
	require.Equal(t, idem.Succeeded, in.State())
	in, err = c.Lookup(testCtx(t), kept)
	require.NoError(t, err)
	require.Equal(t, idem.Pending, in.State())

	alive.tell("do")
	require.Contains(t, alive.hear(), "200 ")
	require.Len(t, w.server.Effects(), 2)
}

// Nobody's word settles what is being executed, in this process no more than in
// another: the attempt under way may have its effect at any moment.
func TestWhatRunsHereIsNotResolved(t *testing.T) {
	t.Parallel()
	g := newGated(t)
	c := newClient(t, newPath(t), idem.WithPolicy("*", stripe()))
	in, err := c.Begin(testCtx(t), order(), newInvoice(t, g.url, 500))
	require.NoError(t, err)
	got := doing(testCtx(t), in)
	sent := g.next()
	for _, state := range []idem.State{idem.Failed, idem.Succeeded} {
		err = c.Resolve(testCtx(t), in.Key(), idem.Resolution{State: state, Note: "Ada guessed"})
		require.ErrorContains(t, err, "being executed")
		require.ErrorContains(t, err, in.Key())
	}
	sent.reply(http.StatusOK, `{"id":"in_1"}`)
	require.Equal(t, `{"id":"in_1"}`, (<-got).body)
	require.Equal(t, idem.Succeeded, in.State())
}
