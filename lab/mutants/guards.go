//go:build linux && cgo

package mutants

// guardMutants break the guards against an agent that repeats itself.
func guardMutants() []Mutant {
	return []Mutant{
		{
			Name: "limit off by one", Breaks: "one intent more than the limit is begun",
			Edits:   []Edit{{"intents > g.Limit.Intents)", "intents > g.Limit.Intents+1)"}},
			Killers: []string{"TestALimitStopsALoop"},
		},
		{
			Name: "cost before, not after", Breaks: "an intent whose cost goes past the limit is begun",
			Edits:   []Edit{{"cost > g.Limit.Cost)", "cost-r.Operation.Cost > g.Limit.Cost)"}},
			Killers: []string{"TestALimitStopsALoop"},
		},
		{
			Name: "limit not again", Breaks: "what failed in passing and is tried again does not count",
			Edits:   []Edit{{"return s.overLimit(c, r, g)", "return false, nil"}},
			Killers: []string{"TestWhatFailedDoesNotCountUntilItIsTriedAgain"},
		},
		{
			Name: "alias not written", Breaks: "a re-emitted ID is executed once the window is over",
			Edits:   []Edit{{`if g.Alias && r.Operation.ID != "" {`, `if g.Alias && r.Operation.ID == "" {`}},
			Killers: []string{"TestAliasesLastAsLongAsIdentities"},
		},
		{
			Name: "Refuse makes an alias", Breaks: "an ID that was refused as a re-emission stands for the first intent ever after",
			Edits:   []Edit{{"Alias: !p.Refuse", "Alias: true"}},
			Killers: []string{"TestAReemissionIsRefusedWhereThePolicySaysSo"},
		},
		{
			Name: "re-emission off", Breaks: "the same payload under another ID is executed inside the window",
			Edits:   []Edit{{"if p.Window > 0 && r.Operation.Repeat == 0 {", "if p.Window < 0 && r.Operation.Repeat == 0 {"}},
			Killers: []string{"TestAReemissionGetsTheFirstOutcome"},
		},
		{
			Name: "repeat re-emitted", Breaks: "an intended repeat is taken for a re-emission",
			Edits:   []Edit{{"if p.Window > 0 && r.Operation.Repeat == 0 {", "if p.Window > 0 {"}},
			Killers: []string{"TestAReemissionGetsTheFirstOutcome"},
		},
		{
			Name: "failed one re-emitted", Breaks: "what failed stands in the way of the same payload under another ID",
			Edits:   []Edit{{"o.state = 2\n", "o.state = 9\n"}},
			Killers: []string{"TestWhatWasRefusedIsNobodysFirst"},
		},
		{
			Name: "guards not kept", Breaks: "a guarded intent leaves no row that later ones are measured by",
			Edits:   []Edit{{"case b.g.Enabled():\n", "case b.g.Enabled() && b.id < 0:\n"}},
			Killers: []string{"TestALimitStopsALoop"},
		},
	}
}
