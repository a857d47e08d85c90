//go:build linux && cgo

package mutants

// guardMutants returns the mutants of limits and of the duplicate window.
func guardMutants() []Mutant {
	return []Mutant{
		{
			Name: "limit off by one", Breaks: "one intent more than the limit is begun",
			Edits:   []Edit{{"intents > g.Limit.Intents)", "intents > g.Limit.Intents+1)"}},
			Killers: []string{"TestALimitStopsALoop"},
		},
		{
			Name: "cost before, not after", Breaks: "an intent whose cost exceeds the limit is begun",
			Edits:   []Edit{{"cost > g.Limit.Cost)", "cost-r.Operation.Cost > g.Limit.Cost)"}},
			Killers: []string{"TestALimitStopsALoop"},
		},
		{
			Name: "limit not again", Breaks: "an intent that is tried again after a transient failure does not count",
			Edits:   []Edit{{"return s.overLimit(c, r, g)", "return false, nil"}},
			Killers: []string{"TestWhatFailedDoesNotCountUntilItIsTriedAgain"},
		},
		{
			Name: "alias not written", Breaks: "a duplicate ID is executed once the window is over",
			Edits:   []Edit{{`if g.Alias && r.Operation.ID != "" {`, `if g.Alias && r.Operation.ID == "" {`}},
			Killers: []string{"TestAliasesLastAsLongAsIdentities"},
		},
		{
			Name: "Refuse makes an alias", Breaks: "an ID that was refused as a duplicate becomes an alias of the first intent",
			Edits:   []Edit{{"Alias: !p.Refuse", "Alias: true"}},
			Killers: []string{"TestAReemissionIsRefusedWhereThePolicySaysSo"},
		},
		{
			Name: "re-emission off", Breaks: "the same payload under another ID is executed inside the window",
			Edits:   []Edit{{"if p.Window > 0 && r.Operation.Repeat == 0 {", "if p.Window < 0 && r.Operation.Repeat == 0 {"}},
			Killers: []string{"TestAReemissionGetsTheFirstOutcome"},
		},
		{
			Name: "repeat re-emitted", Breaks: "an intended repeat is treated as a duplicate",
			Edits:   []Edit{{"if p.Window > 0 && r.Operation.Repeat == 0 {", "if p.Window > 0 {"}},
			Killers: []string{"TestAReemissionGetsTheFirstOutcome"},
		},
		{
			Name: "failed one re-emitted", Breaks: "a failed intent blocks the same payload under another ID",
			Edits:   []Edit{{"o.state = 2\n", "o.state = 9\n"}},
			Killers: []string{"TestWhatWasRefusedIsNobodysFirst"},
		},
		{
			Name: "guards not kept", Breaks: "a guarded intent leaves no row to count later ones against",
			Edits:   []Edit{{"case b.g.Enabled():\n", "case b.g.Enabled() && b.id < 0:\n"}},
			Killers: []string{"TestALimitStopsALoop"},
		},
	}
}
