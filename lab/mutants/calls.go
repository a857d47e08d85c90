//go:build linux && cgo

package mutants

// callMutants returns the mutants of what callers share, wait for and get.
func callMutants() []Mutant {
	return []Mutant{
		{
			Name: "no coalescing", Breaks: "two callers in one process execute one intent twice",
			Edits:   []Edit{{"r := c.runs[rec.Key]\n", "r := (*run)(nil)\n"}},
			Killers: []string{"TestBeginJoinsWhatRunsHere"},
		},
		{
			Name: "attempt ends with its caller", Breaks: "the cancelled context of one caller ends the attempt that others wait for",
			Edits:   []Edit{{"r.own = intentContext{context.WithoutCancel(ctx), in}", "r.own = intentContext{ctx, in}"}},
			Killers: []string{"TestACallersCtxEndsItsWaitOnly"},
		},
		{
			Name: "leaving is nothing sent", Breaks: "a caller that leaves during an attempt gets an error that says nothing was sent",
			Edits:   []Edit{{"if alone && !sending {", "if alone || !sending {"}},
			Killers: []string{"TestTheLastCallersCtxEnds", "TestACallersCtxEndsItsWaitOnly"},
		},
		{
			Name: "goes on without callers", Breaks: "attempts go on when the last caller has left",
			Edits:   []Edit{{"if r.waiters == 0 || c.closed {", "if c.closed {"}},
			Killers: []string{"TestNothingIsSentForACallerWhoLeft"},
		},
		{
			Name: "Close does not wait", Breaks: "Close closes the journal under an attempt",
			Edits:   []Edit{{"c.work.Wait()\n\tc.releaseAll()", "c.releaseAll()"}},
			Killers: []string{"TestCloseWaitsForTheAttemptUnderWay", "TestNothingIsLeftAfterClose"},
		},
		{
			Name: "sends after Close", Breaks: "a client makes another attempt while it is being closed",
			Edits: []Edit{{"if r.waiters == 0 || c.closed {", "if r.waiters == 0 {"},
				{"for _, r := range c.runs {\n\t\tr.cancel()", "for _, r := range c.runs {\n\t\t_ = r.cancel"}},
			Killers: []string{"TestCloseEndsAWaitBetweenAttempts"},
		},
		{
			Name: "Close releases nothing", Breaks: "Close leaves intents that were begun and never sent unreleased",
			Edits:   []Edit{{"c.work.Wait()\n\tc.releaseAll()", "c.work.Wait()"}},
			Killers: []string{"TestBeginWaitsForAnotherProcessRelease", "TestBeginStampsTheWindowAnewWhenNothingWasSent", "TestAnIdleBeginIsReleased", "TestClosedClient", "TestBeginSendsWhatADeadOwnerNeverSent"},
		},
		{
			Name: "idle Begin kept", Breaks: "a Begin without a Do keeps other processes waiting as long as its process lives",
			Edits:   []Edit{{"c.release(c.options.idleRelease)", "c.release(time.Hour)"}},
			Killers: []string{"TestAnIdleBeginIsReleased"},
		},
		{
			Name: "long reply cut", Breaks: "the beginning of a reply over the limit is returned as the whole reply",
			Edits:   []Edit{{"if rest > 0 {", "if rest < 0 {"}},
			Killers: []string{"TestReplyOverTheLimit"},
		},
		{
			Name: "closing a second time", Breaks: "a closed client accepts calls",
			Edits:   []Edit{{"c.closed = true\n", ""}},
			Killers: []string{"TestClosedClient", "TestCloseEndsAWaitBetweenAttempts"},
		},
		{
			Name: "scope not required", Breaks: "an empty scope passes where the client requires one",
			Edits:   []Edit{{`if c.options.requireScope && op.Scope == "" {`, `if c.options.requireScope && op.Name == "" {`}},
			Killers: []string{"TestScopeThatIsRequired"},
		},
		{
			Name: "replay not counted", Breaks: "a prevented duplicate is not counted",
			Edits:   []Edit{{"if !in.counted {\n", "if in.counted {\n"}},
			Killers: []string{"TestStatsCountByReasonAndOperation"},
		},
		{
			Name: "panic swallowed", Breaks: "a panic in the program's own code does not reach the caller",
			Edits:   []Edit{{"r.panicked = v\n", "_ = v\n"}},
			Killers: []string{"TestPanicOfTheProgramsOwnCode"},
		},
		{
			Name: "race of two Begins", Breaks: "a Begin writes the map of idle intents without its lock", Race: true,
			Edits: []Edit{{"c.idle[r.Key] = idleClaim{}\n\tc.mu.Unlock()",
				"c.mu.Unlock()\n\tc.idle[r.Key] = idleClaim{}"}},
			Killers: []string{"TestEveryOpenIntentIsFound"},
		},
	}
}
