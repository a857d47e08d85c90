//go:build linux && cgo

package mutants

// windowMutants returns the mutants of how long a key may be sent, and of journal time.
func windowMutants() []Mutant {
	return []Mutant{
		{
			Name: "no window", Breaks: "a key is sent however old it is",
			Edits:   []Edit{{"return !now.After(SafeUntil(st, retention, attempt))", "return true"}},
			Killers: []string{"TestAKeyIsSentOnlyInsideItsWindow"},
		},
		{
			Name: "window without the attempt", Breaks: "an attempt may begin inside the window and end outside",
			Edits:   []Edit{{"WindowMargin(retention) - attempt)", "WindowMargin(retention))"}},
			Killers: []string{"TestAKeyIsSentOnlyInsideItsWindow", "TestMaySend"},
		},
		{
			Name: "window without a margin", Breaks: "no margin is kept at the end of a retention",
			Edits:   []Edit{{"st.WindowStart.Add(retention - WindowMargin(retention) - attempt)", "st.WindowStart.Add(retention - attempt)"}},
			Killers: []string{"TestAKeyIsSentOnlyInsideItsWindow", "TestMaySend"},
		},
		{
			Name: "window stamped anew", Breaks: "every claim starts the window again, also after something may have been sent",
			Edits:   []Edit{{"if !MayHaveBeenSent(st) {\n\t\tst.WindowStart = now", "if !now.IsZero() {\n\t\tst.WindowStart = now"}},
			Killers: []string{"TestAKeyIsSentOnlyInsideItsWindow"},
		},
		{
			Name: "window never stamped anew", Breaks: "an intent that was never sent is in doubt once its Begin is old",
			Edits:   []Edit{{"if !MayHaveBeenSent(st) {\n\t\tst.WindowStart = now", "if now.IsZero() {\n\t\tst.WindowStart = now"}},
			Killers: []string{"TestTheWindowStartsWhenNothingWasSentBefore"},
		},
		{
			Name: "window not looked at again", Breaks: "a call does not notice that the window closed while it waited between attempts",
			Edits:   []Edit{{"if !r.maySend(now) {", "if now.IsZero() {"}},
			Killers: []string{"TestAWindowThatClosesWhileACallWaits"},
		},
		{
			Name: "looser retention", Breaks: "a retention that was raised since counts for older keys",
			Edits: []Edit{
				{"return min(t.Retention, p.Contract.Retention)", "return max(t.Retention, p.Contract.Retention)"},
			},
			Killers: []string{"TestTheStricterRetentionCounts"},
		},
		{
			Name: "old failure sent again", Breaks: "an intent with an old transient failure is sent under a key that the server has dropped",
			Edits:   []Edit{{"return st.State == journal.Failed && !MaySend(", "return st.State == journal.Pending && !MaySend("}},
			Killers: []string{"TestARefusalInPassingThatIsOld"},
		},
		{
			Name: "policy that never fits", Breaks: "a contract shorter than one attempt is accepted",
			Edits:   []Edit{{"r.AttemptTimeout > c.Retention-lifecycle.WindowMargin(c.Retention) {", "r.AttemptTimeout < 0*lifecycle.WindowMargin(c.Retention) {"}},
			Killers: []string{"TestAPolicyWhoseFirstAttemptDoesNotFitIsRefused"},
		},
		{
			Name: "clock offset not saved", Breaks: "a clock that was set back lengthens windows after a restart",
			Edits:   []Edit{{"if !c.clock.Unsaved() {", "if !c.clock.Unsaved() || c.clock != nil {"}},
			Killers: []string{"TestAClockThatJumpsBackNeverLengthensAWindow"},
		},
		{
			Name: "clock offset not read", Breaks: "the clock offset of earlier processes is not read",
			Edits:   []Edit{{"c.clock.Learn(old)", "_ = old"}},
			Killers: []string{"TestAClockThatJumpsBackNeverLengthensAWindow"},
		},
		{
			Name: "clock goes back", Breaks: "journal time follows a wall clock that is set back",
			Edits:   []Edit{{"k.offset += floor.Sub(now)\n\t\tnow = floor", "k.offset += 0"}},
			Killers: []string{"TestAClockThatJumpsBackNeverLengthensAWindow"},
		},
		{
			Name: "rows of the future ignored", Breaks: "a clock behind the journal's newest row does not learn from it",
			Edits:   []Edit{{"if at.After(k.high) {", "if at.After(k.high) && k.wall == nil {"}},
			Killers: []string{"TestAClockThatIsBehindGoesOnFromTheLatestRow"},
		},
		{
			Name: "pruned by a wrong clock", Breaks: "a wall clock that is wrong by years for one pruning drops every settled identity",
			Edits:   []Edit{{"if !steady {", "if !steady && now.IsZero() {"}},
			Killers: []string{"TestPrune_WallClockWrong_DropsNothing"},
		},
		{
			Name: "wrong clock forgotten", Breaks: "a wall clock that is wrong is trusted by the next process",
			Edits:   []Edit{{"(s.stepped || at.Sub(s.trusted).Abs() < saveAfter)", "at.Sub(s.trusted).Abs() < 0"}},
			Killers: []string{"TestSteadyMerge_UnacceptedStep_KeepsTheTimeBefore"},
		},
		{
			Name: "guard longer than its memory", Breaks: "a policy whose guards need identities for longer than they are kept is accepted",
			Edits:   []Edit{{"return o, o.checkMemories()", "return o, nil"}},
			Killers: []string{"TestWithRetention_IdentitiesTooShort_IsRefused"},
		},
		{
			Name: "attempt without an end", Breaks: "an attempt is not bounded by AttemptTimeout",
			Edits:   []Edit{{"workingFor(base, r.in), r.retry.AttemptTimeout)", "workingFor(base, r.in), 1000*r.retry.AttemptTimeout)"}},
			Killers: []string{"TestEndlessReply"},
		},
		{
			Name: "first-sent header per attempt", Breaks: "the header with the time of the first attempt has the time of each attempt",
			Imports: []string{"time"},
			Edits:   []Edit{{"at := r.Summary().WindowStart.UTC()", "at := time.Now().UTC()"}},
			Killers: []string{"TestFirstSentStaysTheSame"},
		},
	}
}
