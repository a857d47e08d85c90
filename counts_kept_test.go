package idem_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// A duplicate that did not happen is counted for good: what could not be written
// while the disk was full is written when there is room.
func TestCountsOutliveAFullDisk(t *testing.T) {
	t.Parallel()
	const operations = 64 // their counters need more room than there is
	c := newClient(t, newPath(t), idem.WithPolicy("*", stripe()), idem.WithTransport(instant{`{"id":"in_1"}`}))
	ask := func() {
		for i := range operations {
			op := idem.Operation{Name: fmt.Sprintf("charge.%d.%s", i, strings.Repeat("x", 400)), ID: "1"}
			_, err := c.Do(newInvoice(t, "http://api.invalid", 500), op)
			require.NoError(t, err)
		}
	}
	ask()
	require.NoError(t, idem.Pragma(c, "max_page_count = 1")) // as large as it is now
	ask()
	_, err := c.Stats(testCtx(t))
	require.ErrorContains(t, err, "full")
	require.NoError(t, idem.Pragma(c, "max_page_count = 1000000"))
	stats, err := c.Stats(testCtx(t))
	require.NoError(t, err)
	require.EqualValues(t, operations, stats.ByReason["replayed"])
}
