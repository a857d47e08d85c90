package idem_test

import (
	"context"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/stretchr/testify/require"
)

// TestARefusalInPassingThatIsOld: it was refused for a passing reason, so nothing
// had happened, and its key's time is over. It is not in doubt, and asked for again
// it is done, under a new key; who still holds the old intent gets the refusal.
func TestARefusalInPassingThatIsOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, w.server.Script(faults(idemtest.Forbidden403)...))
	clock := &wall{}
	c := w.open(idem.WithPolicy("create_invoice", stripe()), idem.WithWall(clock.now))
	first := w.mustBegin(c, 500)
	require.Equal(t, 403, do(context.Background(), first).status)
	require.Equal(t, idem.Failed, first.State())

	clock.set(25 * time.Hour)
	require.Equal(t, 403, do(context.Background(), first).status)
	require.Len(t, w.server.Arrivals(), 1)
	second := w.mustBegin(c, 500)
	require.NotEqual(t, first.Key(), second.Key())
	require.Equal(t, 200, do(context.Background(), second).status)
	require.Len(t, w.server.Effects(), 1)
	again := w.mustBegin(c, 500)
	require.Equal(t, second.Key(), again.Key())
	require.Equal(t, 200, do(context.Background(), again).status)
	require.Len(t, w.server.Arrivals(), 2)
}
