package idem_test

import (
	"testing"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// The kit itself: one intent, one child.

func (children) Echo(l *link) error {
	var greeting string
	if err := l.args(&greeting); err != nil {
		return err
	}
	l.say("%s %s", greeting, l.hear())
	return nil
}

func TestKitChild(t *testing.T) {
	t.Parallel()
	p := startChild(t, "Echo", "hello")
	p.tell("world")
	p.expect("hello world")
	p.wait()
}

func TestKitWorld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(idem.WithPolicy("create_invoice", stripe()))
	resp, err := c.Do(w.invoice(500), idem.Operation{Name: "create_invoice", ID: "order-1"})
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	require.Len(t, w.server.Effects(), 1)
}
