//go:build cgo

package sqlite_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// What is open is never pruned, also where it was settled once: an intent that was
// refused in passing long ago and is being tried again keeps its payload, and the
// outcome that it then has is kept from then on.
func TestPruningLeavesWhatWasOpenedAgain(t *testing.T) {
	t.Parallel()
	g := clientkit.NewGated(t)
	clock := &clientkit.Wall{}
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", clientkit.Stripe()), idem.WithClock(clock.Now))
	begin := func() *idem.Intent {
		in, err := c.Begin(testkit.Context(t), clientkit.Order(), testkit.NewInvoice(t, g.URL, 500))
		require.NoError(t, err)
		return in
	}
	first := begin()
	got := clientkit.Doing(testkit.Context(t), first)
	g.Next().Reply(401, `{}`)
	require.Equal(t, 401, (<-got).Status)

	in := begin()
	require.Equal(t, first.Key(), in.Key())
	got = clientkit.Doing(testkit.Context(t), in)
	again := g.Next()
	clock.Set(31 * 24 * time.Hour)
	n, err := c.Prune(testkit.Context(t))
	require.NoError(t, err)
	require.Zero(t, n)
	again.Reply(200, `{"id":"in_1"}`)
	require.Equal(t, 200, (<-got).Status)

	_, err = c.Prune(testkit.Context(t))
	require.NoError(t, err)
	in = begin()
	require.Equal(t, `{"id":"in_1"}`, clientkit.Do(testkit.Context(t), in).Body)
	require.NotEmpty(t, in.Payload())
}
