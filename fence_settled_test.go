package idem_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// A settled outcome never changes: a person settled what nobody had claimed, and the
// first owner, who looked dead, comes with a proven success. It is no outcome any
// more, and an audit row says so.
func TestAnOutcomeOfAnothersIsNotReplaced(t *testing.T) {
	t.Parallel()
	r := newRobbed(t, clientkit.Stripe())
	require.NoError(t, r.client.Resolve(context.Background(), r.key, idem.Resolution{State: idem.Failed, Note: "Ada looked"}))
	r.first.Reply(http.StatusOK, `{"late":true}`)
	require.Contains(t, r.owner.Hear(), "did not happen")
	states, notes := r.told("alarm")
	require.Equal(t, []idem.State{idem.Failed}, states)
	require.Len(t, notes, 1)
	require.Contains(t, notes[0], "proved success")
	r.close()
}

// Who takes an intent over has written that down before the first byte leaves: every
// other process sees who has it, and a second one does not take it over as well.
func TestATakeOverIsOnDiskBeforeItSends(t *testing.T) {
	t.Parallel()
	r := newRobbed(t, clientkit.Stripe())
	r.owner.Kill()
	taken := clientkit.Doing(context.Background(), r.begin())
	second := r.Next()
	const claimed = 1 // the kind of a claim's row
	require.Equal(t, []int64{claimed}, testkit.NewWitness(t, r.path).Read(r.key).Kinds)
	second.Reply(http.StatusOK, `{"taken":true}`)
	got := <-taken
	require.NoError(t, got.Err)
	require.Equal(t, `{"taken":true}`, got.Body)
}
