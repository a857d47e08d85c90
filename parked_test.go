package idem_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/lifecycle"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// An intent over which one owner after the other dies is not taken over for ever: it
// may be what kills them. After five take-overs it is in doubt, and is not sent.
func TestAnIntentThatKillsItsOwnersIsParked(t *testing.T) {
	t.Parallel()
	g := clientkit.NewGated(t)
	path := testkit.NewPath(t)
	for range 1 + lifecycle.MaxTakeovers {
		p := testkit.StartChild(t, "Agent", clientkit.AgentArgs{Path: path, Server: g.URL, ID: "order-1", Cents: 500})
		p.Expect("open")
		p.Tell("begin")
		p.Hear()
		p.Tell("start")
		p.Expect("started")
		g.Next()
		p.Kill()
	}
	c := clientkit.NewClient(t, path, idem.WithPolicy("create_invoice", clientkit.Stripe()))
	report, err := c.Recover(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{InDoubt: 1}, report)
	in, err := c.Begin(testkit.Context(t), clientkit.Order(), testkit.NewInvoice(t, g.URL, 500))
	require.NoError(t, err)
	require.ErrorIs(t, clientkit.Do(testkit.Context(t), in).Err, idem.ErrInDoubt)
	require.Equal(t, idem.InDoubt, in.State())
	require.Empty(t, g.Arrived, "it was sent once more")
}

// Recover leaves to a caller here what he began a moment ago and will carry out.
func TestRecoverLeavesWhatWasJustBegun(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
	in, err := c.Begin(testkit.Context(t), clientkit.Order(), w.Invoice(500))
	require.NoError(t, err)
	report, err := c.Recover(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{Skipped: 1}, report)
	require.Empty(t, w.Server.Arrivals())
	got := clientkit.Do(testkit.Context(t), in)
	require.NoError(t, got.Err)
	require.False(t, got.Replayed)
}
