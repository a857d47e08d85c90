//go:build cgo

package sqlite_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// Whoever shares a transaction with a write that cannot be made loses nothing by it:
// that one is answered with its error, and the others are durable.
func TestABadWriteHarmsNoOther(t *testing.T) {
	t.Parallel()
	const callers = 16
	w := clientkit.NewWorld(t)
	twins := clientkit.Stripe()
	twins.Contract.NewKey = func() string { return "always-the-same-key" }
	c, s := openStore(t, w.Path, idem.WithPolicy("charge", clientkit.Stripe()), idem.WithPolicy("twin", twins))
	_, err := c.Begin(testkit.Context(t), idem.Operation{Name: "twin", ID: "1"}, w.Invoice(500))
	require.NoError(t, err)

	// Sixteen at once, of which bad is the number of the one that takes a key that is
	// another's; -1: none.
	begin := func(round string, bad int) (keys []string, errs []error) {
		t.Helper()
		keys, errs = make([]string, callers), make([]error, callers)
		release := holdWriteLock(t, w.Path)
		var wg sync.WaitGroup
		for i := range callers {
			op := idem.Operation{Name: "charge", ID: fmt.Sprint(round, i)}
			if i == bad {
				op.Name = "twin"
			}
			req := w.Invoice(500)
			wg.Go(func() {
				in, err := c.Begin(testkit.Context(t), op, req)
				if errs[i] = err; err == nil {
					keys[i] = in.Key()
				}
			})
		}
		queued(t, s, callers)
		release()
		wg.Wait()
		return keys, errs
	}
	other := testkit.NewWitness(t, w.Path)
	for _, x := range []struct {
		round string
		bad   int
	}{{"first", callers / 2}, {"again", callers / 2}, {"after them", -1}} {
		keys, errs := begin(x.round, x.bad)
		for i, err := range errs {
			if i == x.bad {
				require.ErrorContains(t, err, "always-the-same-key")
				require.ErrorContains(t, err, "nothing was sent")
				require.False(t, errors.Is(err, idem.ErrMaybeRecorded), "it is certainly not recorded: %v", err)
				continue
			}
			require.NoError(t, err, "%s: caller %d", x.round, i)
			require.NotNil(t, other.Read(keys[i]), "%s: caller %d", x.round, i)
		}
	}
}
