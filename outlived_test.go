package idem_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"

	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// TestARefusalInPassingThatIsOld: it was refused for a passing reason, so nothing
// had happened, and its key's time is over. It is not in doubt, and asked for again
// it is done, under a new key; who still holds the old intent gets the refusal.
func TestARefusalInPassingThatIsOld(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	require.NoError(t, w.Server.Script(faults(idemtest.Forbidden403)...))
	clock := &clientkit.Wall{}
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()), idem.WithClock(clock.Now))
	first := w.MustBegin(c, 500)
	require.Equal(t, 403, clientkit.Do(context.Background(), first).Status)
	require.Equal(t, idem.Failed, first.State())

	clock.Set(25 * time.Hour)
	require.Equal(t, 403, clientkit.Do(context.Background(), first).Status)
	require.Len(t, w.Server.Arrivals(), 1)
	second := w.MustBegin(c, 500)
	require.NotEqual(t, first.Key(), second.Key())
	require.Equal(t, 200, clientkit.Do(context.Background(), second).Status)
	require.Len(t, w.Server.Effects(), 1)
	again := w.MustBegin(c, 500)
	require.Equal(t, second.Key(), again.Key())
	require.Equal(t, 200, clientkit.Do(context.Background(), again).Status)
	require.Len(t, w.Server.Arrivals(), 2)
}
