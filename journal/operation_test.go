package journal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/journal"
)

// One identity owns one key: each part of the identity makes another one, and the
// cost of an execution does not.
func TestOperation_SameIdentity(t *testing.T) {
	t.Parallel()
	op := journal.Operation{Name: "charge", Scope: "run-42", ID: "order-1", Repeat: 1, Cost: 500}
	for name, c := range map[string]struct {
		other journal.Operation
		same  bool
	}{
		"same":           {op, true},
		"another cost":   {journal.Operation{Name: "charge", Scope: "run-42", ID: "order-1", Repeat: 1, Cost: 7}, true},
		"another name":   {journal.Operation{Name: "refund", Scope: "run-42", ID: "order-1", Repeat: 1}, false},
		"another scope":  {journal.Operation{Name: "charge", Scope: "run-43", ID: "order-1", Repeat: 1}, false},
		"another ID":     {journal.Operation{Name: "charge", Scope: "run-42", ID: "order-2", Repeat: 1}, false},
		"another repeat": {journal.Operation{Name: "charge", Scope: "run-42", ID: "order-1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.same, op.SameIdentity(c.other))
			require.Equal(t, c.same, c.other.SameIdentity(op))
		})
	}
}
