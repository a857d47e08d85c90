package idem_test

import (
	"fmt"
	"testing"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// A key tells the far side nothing of the ID that it is for: no part of it is the
// same in two journals, or in two intents of much the same name.
func TestAKeyTellsNothing(t *testing.T) {
	t.Parallel()
	seen := map[string]string{} // eight digits of a key, by their place in it, and whose they are
	for journal := range 3 {
		c := newClient(t, newPath(t), idem.WithPolicy("*", stripe()))
		for i := range 20 {
			in, err := c.Begin(testCtx(t), idem.Operation{Name: "charge", ID: fmt.Sprint(i)}, newInvoice(t, "http://api.invalid", 5))
			require.NoError(t, err)
			me := fmt.Sprintf("ID %d of journal %d", i, journal)
			for _, from := range []int{0, 28} {
				part := fmt.Sprint(from, " ", in.Key()[from:from+8])
				require.Empty(t, seen[part], "%s has it too", me)
				seen[part] = me
			}
		}
	}
}
