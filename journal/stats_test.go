package journal_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/journal"
)

// Only an effect that did not happen a second time is a duplicate prevented. A call
// that was refused or is in doubt is none.
func TestPreventsDuplicate(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]bool{
		journal.ReasonReplayed: true, journal.ReasonCoalesced: true,
		journal.ReasonServerReplayed: true, journal.ReasonReemitted: true,
		journal.ReasonMismatch: false, journal.ReasonExpired: false, journal.ReasonInDoubt: false,
		journal.ReasonLimit: false, journal.ReasonPruned: false, "": false, "Replayed": false,
	} {
		require.Equal(t, want, journal.PreventsDuplicate(reason), "%q", reason)
	}
}

// Each field of a Filter narrows the selection; the zero Filter selects every intent.
func TestFilter_Match(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := &journal.Record{
		Operation: journal.Operation{Name: "charge", Scope: "run-42", ID: "order-1"}, CreatedAt: at,
		Changes: []journal.Change{
			{Summary: journal.Summary{Version: 1, State: journal.InDoubt}},
			{Summary: journal.Summary{Version: 2, State: journal.Succeeded}},
		},
	}
	for name, c := range map[string]struct {
		filter journal.Filter
		want   bool
	}{
		"everything":         {journal.Filter{}, true},
		"its state":          {journal.Filter{States: []journal.State{journal.Failed, journal.Succeeded}}, true},
		"a state it had":     {journal.Filter{States: []journal.State{journal.InDoubt}}, false},
		"its scope":          {journal.Filter{Scope: "run-42"}, true},
		"another scope":      {journal.Filter{Scope: "run-4"}, false},
		"its operation":      {journal.Filter{Operation: "charge"}, true},
		"a prefix":           {journal.Filter{Operation: "char"}, false},
		"its ID":             {journal.Filter{ID: "order-1"}, true},
		"another ID":         {journal.Filter{ID: "order-2"}, false},
		"created at Since":   {journal.Filter{Since: at}, true},
		"created before":     {journal.Filter{Since: at.Add(1)}, false},
		"one field of three": {journal.Filter{Scope: "run-42", Operation: "charge", ID: "order-2"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, c.filter.Match(r))
		})
	}
}
