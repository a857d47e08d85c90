package idem_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// Whoever shares a transaction with a write that cannot be made loses nothing by it:
// that one is answered with its error, and the others are durable.
func TestABadWriteHarmsNoOther(t *testing.T) {
	t.Parallel()
	const callers = 16
	w := newWorld(t)
	twins := stripe()
	twins.Contract.NewKey = func() string { return "always-the-same-key" }
	c := w.open(idem.WithPolicy("charge", stripe()), idem.WithPolicy("twin", twins))
	_, err := c.Begin(testCtx(t), idem.Operation{Name: "twin", ID: "1"}, w.invoice(500))
	require.NoError(t, err)

	release := holdWriteLock(t, w.path)
	var wg sync.WaitGroup
	errs := make([]error, callers)
	keys := make([]string, callers)
	for i := range callers {
		op := idem.Operation{Name: "charge", ID: fmt.Sprint(i)}
		if i == callers/2 {
			op = idem.Operation{Name: "twin", ID: "2"}
		}
		req := w.invoice(500)
		wg.Go(func() {
			in, err := c.Begin(testCtx(t), op, req)
			if errs[i] = err; err == nil {
				keys[i] = in.Key()
			}
		})
	}
	queued(t, c, callers)
	release()
	wg.Wait()
	other := newWitness(t, w.path)
	for i, err := range errs {
		if i == callers/2 {
			require.ErrorContains(t, err, "always-the-same-key")
			require.ErrorContains(t, err, "nothing was sent")
			require.False(t, errors.Is(err, idem.ErrMaybeRecorded), "it is certainly not recorded: %v", err)
			continue
		}
		require.NoError(t, err, "caller %d", i)
		require.NotNil(t, other.read(keys[i]), "caller %d", i)
	}
}
