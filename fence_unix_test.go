//go:build unix

package idem_test

import (
	"context"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// TestAStoppedOwnerLives: a process that was stopped, not killed, keeps its claim.
// Nobody else sends, by Do or by Recover, and nobody can resolve its intent.
func TestAStoppedOwnerLives(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	require.NoError(t, w.Server.Script(clientkit.HoldReply()))
	p := w.Agent(clientkit.AgentArgs{ID: "order-1", Cents: 500})
	key := w.Begin(p)
	p.Tell("start")
	p.Expect("started")
	require.NoError(t, w.Server.WaitEffects(testkit.Context(t), 1))
	require.NoError(t, p.Cmd.Process.Signal(syscall.SIGSTOP))
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	report, err := c.Recover(context.Background())
	require.NoError(t, err)
	require.Equal(t, idem.Report{Skipped: 1, Reasons: map[string]int{"owner alive": 1}}, report)
	err = c.Resolve(context.Background(), key, idem.Resolution{State: idem.Failed, Note: "impatient"})
	require.ErrorContains(t, err, "living process")
	ctx := clientkit.Watch(testkit.Context(t), 6)
	got := clientkit.Doing(ctx, w.MustBegin(c, 500))
	ctx.Waiting(t)
	require.Len(t, w.Server.Arrivals(), 1)
	w.Server.Release()
	require.NoError(t, p.Cmd.Process.Signal(syscall.SIGCONT))
	theirs := p.Hear()
	ours := <-got
	require.NoError(t, ours.Err)
	require.Equal(t, theirs, "200 "+ours.Body)
	require.Len(t, w.Server.Arrivals(), 1)
}
