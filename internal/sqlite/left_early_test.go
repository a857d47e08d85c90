//go:build cgo

package sqlite_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// A caller who leaves before anything was sent has nothing sent behind his back: not
// when the journal, which he was waiting for, takes the claim in the end.
func TestNothingIsSentForACallerWhoLeft(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	p := w.Agent(clientkit.AgentArgs{ID: "order-1", Cents: 500})
	key := w.Begin(p)
	p.Kill()
	c, s := openStore(t, w.Path, idem.WithPolicy("*", clientkit.Stripe()))
	in := w.MustBegin(c, 500)
	require.Equal(t, key, in.Key())

	release := holdWriteLock(t, w.Path)
	ctx, cancel := context.WithCancel(testkit.Context(t))
	got := clientkit.Doing(ctx, in)
	queued(t, s, 1)
	cancel()
	require.ErrorIs(t, (<-got).Err, context.Canceled)
	release()
	const released = 3 // the kind of a release's row
	other := testkit.NewWitness(t, w.Path)
	for ctx := testkit.Context(t); ; require.NoError(t, ctx.Err()) {
		if now := other.Read(key); now.Outcomes > 0 || slices.Contains(now.Kinds, released) {
			break
		}
	}
	require.Empty(t, w.Server.Arrivals())
	require.NoError(t, clientkit.Do(testkit.Context(t), in).Err, "the next one may")
	require.Len(t, w.Server.Effects(), 1)
}
