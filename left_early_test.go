package idem_test

import (
	"context"
	"slices"
	"testing"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// A caller who leaves before anything was sent has nothing sent behind his back: not
// when the journal, which he was waiting for, takes the claim in the end.
func TestNothingIsSentForACallerWhoLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.agent(agentArgs{ID: "order-1", Cents: 500})
	key := w.begin(p)
	p.kill()
	c := w.open(idem.WithPolicy("*", stripe()))
	in := w.mustBegin(c, 500)
	require.Equal(t, key, in.Key())

	release := holdWriteLock(t, w.path)
	ctx, cancel := context.WithCancel(testCtx(t))
	got := doing(ctx, in)
	queued(t, c, 1)
	cancel()
	require.ErrorIs(t, (<-got).err, context.Canceled)
	release()
	const released = 3 // the kind of a release's row
	other := newWitness(t, w.path)
	for ctx := testCtx(t); ; require.NoError(t, ctx.Err()) {
		if now := other.read(key); now.Outcomes > 0 || slices.Contains(now.Kinds, released) {
			break
		}
	}
	require.Empty(t, w.server.Arrivals())
	require.NoError(t, do(testCtx(t), in).err, "the next one may")
	require.Len(t, w.server.Effects(), 1)
}
