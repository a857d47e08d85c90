package idem_test

import (
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// What is open is never pruned, also where it was settled once: an intent that was
// refused in passing long ago and is being tried again keeps its payload, and the
// outcome that it then has is kept from then on.
func TestPruningLeavesWhatWasOpenedAgain(t *testing.T) {
	t.Parallel()
	g := newGated(t)
	clock := &wall{}
	c := newClient(t, newPath(t), idem.WithPolicy("*", stripe()), idem.WithWall(clock.now))
	begin := func() *idem.Intent {
		in, err := c.Begin(testCtx(t), order(), newInvoice(t, g.url, 500))
		require.NoError(t, err)
		return in
	}
	first := begin()
	got := doing(testCtx(t), first)
	g.next().reply(401, `{}`)
	require.Equal(t, 401, (<-got).status)

	in := begin()
	require.Equal(t, first.Key(), in.Key())
	got = doing(testCtx(t), in)
	again := g.next()
	clock.set(31 * 24 * time.Hour)
	n, err := c.Prune(testCtx(t))
	require.NoError(t, err)
	require.Zero(t, n)
	again.reply(200, `{"id":"in_1"}`)
	require.Equal(t, 200, (<-got).status)

	_, err = c.Prune(testCtx(t))
	require.NoError(t, err)
	in = begin()
	require.Equal(t, `{"id":"in_1"}`, do(testCtx(t), in).body)
	require.NotEmpty(t, in.Payload())
}
