//go:build linux && cgo

package mutants

// ownerMutants break who may carry an intent out.
func ownerMutants() []Mutant {
	return []Mutant{
		{
			Name: "take-over without writing", Breaks: "an intent is sent before its claim is on disk",
			Edits:   []Edit{{`return r.write(journal.Claimed, r.st, reason, "", nil)`, "return false"}},
			Killers: []string{"TestATakeOverIsOnDiskBeforeItSends"},
		},
		{
			Name: "lost claim ignored", Breaks: "who lost a claim against another process sends all the same",
			Edits:   []Edit{{"case !ok:\n\t\tr.lost(change, standing)\n\t\treturn true", "case !ok:\n\t\treturn false"}},
			Killers: []string{"TestAStaleOwnerSendsNothingMore", "TestCrowdsInSeveralProcesses"},
		},
		{
			Name: "living owner taken for dead", Breaks: "a process steals what a living one has",
			Edits:   []Edit{{"if held {\n\t\treturn journal.OwnedByLive", "if held && mine < 0 {\n\t\treturn journal.OwnedByLive"}},
			Killers: []string{"TestNobodyWritesWhatALivingOwnerHas", "TestBeginWaitsForAnotherProcessOutcome"},
		},
		{
			Name: "epoch not compared", Breaks: "whoever has a dead owner's slot now is taken for that owner, so that nobody finishes its intents",
			Edits:   []Edit{{"if newest != epoch {", "if newest < epoch {"}},
			Killers: []string{"TestADeadOwnersPlaceIsAnothersNow"},
		},
		{
			Name: "epoch not raised", Breaks: "a process in a dead one's slot takes that one's intents for its own",
			Edits:   []Edit{{"coalesce(max(epoch), 0) + 1 FROM owners", "coalesce(max(epoch), 1) FROM owners"}},
			Killers: []string{"TestBeginDoubtsWhatADeadOwnerMayHaveSent", "TestARefusalAfterATakeOverIsInDoubt", "TestWithoutAContractThereIsAtMostOneEffect"},
		},
		{
			Name: "no turns", Breaks: "a process that writes without pause keeps the others from writing",
			Edits:   []Edit{{"unlock, err := s.locks.Wait(ctx, lockfile.WriterQueueSlot)", "unlock, err := func() {}, error(nil)"}},
			Killers: []string{"TestProcessesTakeTurns"},
		},
		{
			Name: "dead owner's silence", Breaks: "what a dead owner may have sent is taken for never sent",
			Edits:   []Edit{{"if !t.MarksAttempts {", "if t.MarksAttempts {"}},
			Killers: []string{"TestClaimed", "TestARefusalAfterATakeOverIsInDoubt"},
		},
		{
			Name: "never parked", Breaks: "an intent over which every owner dies is taken over for ever",
			Edits:   []Edit{{"return st.Takeovers > MaxTakeovers", "return st.Takeovers > 1000*MaxTakeovers"}},
			Killers: []string{"TestAnIntentThatKillsItsOwnersIsParked"},
		},
		{
			Name: "no mark", Breaks: "without a contract, an attempt is not marked on disk before it is sent",
			Edits:   []Edit{{"if r.record.Terms.MarksAttempts && !r.mark(now) {", "if r.record.Terms.MarksAttempts && r.began < 0 {"}},
			Killers: []string{"TestWithoutAContractThereIsAtMostOneEffect", "TestCrashesWithoutAContractMakeAtMostOneEffect"},
		},
		{
			Name: "resolved under a living owner", Breaks: "a person settles what a living process is executing",
			Edits: []Edit{
				{"case rec.Owner == journal.OwnedByLive || c.running(key):", "case rec.Owner == journal.OwnedByLive && c.running(key):"},
			},
			Killers: []string{"TestWhatRunsHereIsNotResolved"},
		},
		{
			Name: "contradiction in silence", Breaks: "nobody is told of a success that came after the intent was settled otherwise",
			Edits:   []Edit{{"change.State == Succeeded && state != Succeeded {", "change.State == Succeeded && state == Succeeded {"}},
			Killers: []string{"TestASuccessThatContradictsAFailureIsLoud"},
		},
		{
			Name: "changed version recovered", Breaks: "Recover sends what was journaled under another Policy.Version",
			Edits:   []Edit{{"if r.Terms.Version != p.Version || r", "if r"}},
			Killers: []string{"TestRecoverSkipsWhatItMayNotRun"},
		},
		{
			Name: "other account recovered", Breaks: "Recover sends with another account's credentials",
			Edits:   []Edit{{" || r.Terms.Account != p.Account {", " {"}},
			Killers: []string{"TestRecoverSkipsWhatItMayNotRun"},
		},
		{
			Name: "recovered without credentials", Breaks: "Recover sends a request whose credentials were not journaled and are not there",
			Edits:   []Edit{{"return err != nil || len(h.Removed) > 0", "return err != nil || len(h.Removed) > 1000"}},
			Killers: []string{"TestRecoveredAttemptsGetTheirCredentials"},
		},
		{
			Name: "begun by a caller, recovered", Breaks: "Recover takes away what a caller here began a moment ago",
			Edits:   []Edit{{"|| begun || c.running(r.Key)", "|| begun && r.Key == \"\" || c.running(r.Key)"}},
			Killers: []string{"TestRecoverLeavesWhatWasJustBegun"},
		},
	}
}
