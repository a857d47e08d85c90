package idem_test

import (
	"testing"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// An intent over which one owner after the other dies is not taken over for ever: it
// may be what kills them. After five take-overs it is in doubt, and is not sent.
func TestAnIntentThatKillsItsOwnersIsParked(t *testing.T) {
	t.Parallel()
	g := newGated(t)
	path := newPath(t)
	for range 1 + idem.MaxTakeovers {
		p := startChild(t, "Agent", agentArgs{Path: path, Server: g.url, ID: "order-1", Cents: 500})
		p.expect("open")
		p.tell("begin")
		p.hear()
		p.tell("start")
		p.expect("started")
		g.next()
		p.kill()
	}
	c := newClient(t, path, idem.WithPolicy("create_invoice", stripe()))
	report, err := c.Recover(testCtx(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{InDoubt: 1}, report)
	in, err := c.Begin(testCtx(t), order(), newInvoice(t, g.url, 500))
	require.NoError(t, err)
	require.ErrorIs(t, do(testCtx(t), in).err, idem.ErrInDoubt)
	require.Equal(t, idem.InDoubt, in.State())
	require.Empty(t, g.arrived, "it was sent once more")
}

// Recover leaves to a caller here what he began a moment ago and will carry out.
func TestRecoverLeavesWhatWasJustBegun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(idem.WithPolicy("*", stripe()))
	in, err := c.Begin(testCtx(t), order(), w.invoice(500))
	require.NoError(t, err)
	report, err := c.Recover(testCtx(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{Skipped: 1}, report)
	require.Empty(t, w.server.Arrivals())
	got := do(testCtx(t), in)
	require.NoError(t, got.err)
	require.False(t, got.replayed)
}
