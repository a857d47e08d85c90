package idem_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// The kit itself: one intent, one child.

func (children) Echo(l *testkit.Link) error {
	var greeting string
	if err := l.Args(&greeting); err != nil {
		return err
	}
	l.Say("%s %s", greeting, l.Hear())
	return nil
}

func TestKitChild(t *testing.T) {
	t.Parallel()
	p := testkit.StartChild(t, "Echo", "hello")
	p.Tell("world")
	p.Expect("hello world")
	p.Wait()
}

func TestKitWorld(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	resp, err := c.Do(w.Invoice(500), idem.Operation{Name: "create_invoice", ID: "order-1"})
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	require.Len(t, w.Server.Effects(), 1)
}
