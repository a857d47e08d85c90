//go:build cgo

package sqlite_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/sqlite"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// TestChange_OutcomesUsedUp_SuccessorIsBegun: one intent keeps a bounded number of
// outcomes, so that no row of it gets the id of the next intent's. Where the bound is
// reached, the same call goes on under a new key, and no other intent is touched.
func TestChange_OutcomesUsedUp_SuccessorIsBegun(t *testing.T) {
	t.Parallel()
	server := clientkit.NewServer(t)
	invoice := func(cents int) *http.Request { return testkit.NewInvoice(t, server.URL(), cents) }
	down := &atomic.Bool{}
	p := clientkit.Stripe()
	p.Retry.MaxAttempts = 1
	// Not openStore: the check of its journal knows the bound of a real one.
	s, err := sqlite.Open(testkit.NewPath(t))
	require.NoError(t, err)
	c, err := idem.New(s, idem.WithPolicy("*", p), idem.WithTransport(&http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if down.Load() {
				return nil, errors.New("the host is down")
			}
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	}))
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	const most = 5
	s.SetMaxOutcomes(most)
	ctx := testkit.Context(t)
	op := func(id string) idem.Operation { return idem.Operation{Name: "charge", ID: id} }

	down.Store(true)
	in, err := c.Begin(ctx, op("order-1"), invoice(1))
	require.NoError(t, err)
	first := in.Key()
	for range most {
		require.ErrorIs(t, clientkit.Do(ctx, in).Err, idem.ErrNotSent)
		require.Equal(t, first, in.Key())
	}
	down.Store(false)
	_, err = c.Do(invoice(2), op("order-2")) // its id comes next
	require.NoError(t, err)
	down.Store(true)
	require.ErrorIs(t, clientkit.Do(ctx, in).Err, idem.ErrNotSent)
	require.NotEqual(t, first, in.Key(), "a successor goes on")
	require.Equal(t, first, in.Previous())
	down.Store(false)

	again, err := c.Begin(ctx, op("order-1"), invoice(1))
	require.NoError(t, err)
	require.Equal(t, in.Key(), again.Key())
	require.NoError(t, clientkit.Do(ctx, again).Err)
	_, err = c.Do(invoice(2), op("order-2"))
	require.NoError(t, err, "replayed")
	require.Len(t, server.Effects(), 2)
}
