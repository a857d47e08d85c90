//go:build cgo

package sqlite_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// A duplicate that did not happen is counted for good: what could not be written
// while the disk was full is written when there is room.
func TestCountsOutliveAFullDisk(t *testing.T) {
	t.Parallel()
	const operations = 64 // their counters need more room than there is
	c, s := openStore(t, testkit.NewPath(t), idem.WithPolicy("*", clientkit.Stripe()), idem.WithTransport(clientkit.Instant{Body: `{"id":"in_1"}`}))
	ask := func() {
		for i := range operations {
			op := idem.Operation{Name: fmt.Sprintf("charge.%d.%s", i, strings.Repeat("x", 400)), ID: "1"}
			_, err := c.Do(testkit.NewInvoice(t, "http://api.invalid", 500), op)
			require.NoError(t, err)
		}
	}
	ask()
	require.NoError(t, s.Pragma("max_page_count = 1")) // as large as it is now
	ask()
	_, err := c.Stats(testkit.Context(t))
	require.ErrorContains(t, err, "full")
	require.NoError(t, s.Pragma("max_page_count = 1000000"))
	stats, err := c.Stats(testkit.Context(t))
	require.NoError(t, err)
	require.EqualValues(t, operations, stats.ByReason["replayed"])
}
