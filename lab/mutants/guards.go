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
			Edits:   []Edit{{"return s.overLimit(c, r, g, id)", "return false, nil"}},
			Killers: []string{"TestWhatFailedDoesNotCountUntilItIsTriedAgain"},
		},
		{
			Name: "older intent claimed", Breaks: "a kept handle sends although a corrected payload was begun in its place",
			Edits:   []Edit{{"if newest != id || err != nil {", "if newest < 0 || err != nil {"}},
			Killers: []string{"TestClaim_CorrectedCallSucceeded_OldHandleSendsNothing", "TestSQLiteJournal"},
		},
		{
			Name: "claimed predecessor succeeded", Breaks: "a corrected payload is begun although the first one was claimed meanwhile",
			Edits:   []Edit{{"return open == nil, err", "return true, err"}},
			Killers: []string{"TestSQLiteJournal"},
		},
		{
			Name: "claim reserves nothing", Breaks: "a claim makes an intent count again without a place in the budget",
			Edits:   []Edit{{"!change.Checks.Enabled() || !failed && !unsent {", "!change.Checks.Enabled() || id > 0 {"}},
			Killers: []string{"TestClaim_BudgetOfOne_OneOfManyIsSentAfterAnOutage", "TestClaim_DuplicateSucceededInTheWindow_FirstIsNotSent", "TestSQLiteJournal"},
		},
		{
			Name: "claim dated by Begin", Breaks: "a reopened intent leaves the budget when its first time is over",
			Edits:   []Edit{{"budgetHash(r.Operation), change.At.UnixNano())", "budgetHash(r.Operation), r.CreatedAt.UnixNano())"}},
			Killers: []string{"TestSQLiteJournal"},
		},
		{
			Name: "costs overflow", Breaks: "a sum of costs beyond an int64 is negative, and fits into every budget",
			Edits:   []Edit{{"if cost += counted.cost; cost < 0 {", "if cost += counted.cost; cost == 0 {"}},
			Killers: []string{"TestSQLiteJournal"},
		},
		{
			Name: "outcomes without a bound", Breaks: "the rows of an intent that failed very often run into those of the next",
			Edits:   []Edit{{"if settled && generation >= s.maxOutcomes {", "if settled && generation < 0 {"}},
			Killers: []string{"TestChange_OutcomesUsedUp_SuccessorIsBegun"},
		},
		{
			Name: "interrupted run trusted", Breaks: "a run that the program's own code ended after the send is taken for one that sent nothing",
			Edits: []Edit{
				{"case !r.inFlight.IsZero():", "case r.began < 0:"},
				{"case owner == journal.OwnedBySelf && !r.fresh:", "case owner == journal.OwnedBySelf && !r.fresh && before.Version > 0:"},
			},
			Killers: []string{"TestExecute_ProgramsCodePanicsAfterTheSend_LeavesDoubt"},
		},
		{
			Name: "resolved while it begins", Breaks: "a Do begins while a person's answer is being written",
			Edits:   []Edit{{"r := &run{client: c, cancel: func() {}, done: make(chan struct{}), again: true}\n\tc.runs[key] = r", "r := &run{client: c, cancel: func() {}, done: make(chan struct{}), again: true}"}},
			Killers: []string{"TestResolve_DoAtTheSameMoment_OneOfThemLoses"},
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
			Edits:   []Edit{{"if p.Window > 0 && op.Repeat == 0 {", "if p.Window < 0 && op.Repeat == 0 {"}},
			Killers: []string{"TestAReemissionGetsTheFirstOutcome"},
		},
		{
			Name: "repeat re-emitted", Breaks: "an intended repeat is treated as a duplicate",
			Edits:   []Edit{{"if p.Window > 0 && op.Repeat == 0 {", "if p.Window > 0 {"}},
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
