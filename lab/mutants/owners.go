//go:build linux && cgo

package mutants

// ownerMutants returns the mutants of which process may execute an intent.
func ownerMutants() []Mutant {
	return []Mutant{
		{
			Name: "take-over without writing", Breaks: "an intent is sent before its claim is on disk",
			Edits:   []Edit{{`return r.write(journal.Claimed, r.st, reason, "", nil)`, "return false"}},
			Killers: []string{"TestATakeOverIsOnDiskBeforeItSends"},
		},
		{
			Name: "lost claim ignored", Breaks: "a process that lost a claim sends all the same",
			Edits:   []Edit{{"case conflict == journal.ConflictVersion:\n\t\tr.lost(change, standing)\n\t\treturn true", "case conflict == journal.ConflictVersion:\n\t\treturn false"}},
			Killers: []string{"TestAStaleOwnerSendsNothingMore", "TestCrowdsInSeveralProcesses"},
		},
		{
			Name: "living owner taken for dead", Breaks: "a process takes an intent from a live one",
			Edits:   []Edit{{"if held {\n\t\treturn journal.OwnedByLive", "if held && mine < 0 {\n\t\treturn journal.OwnedByLive"}},
			Killers: []string{"TestNobodyWritesWhatALivingOwnerHas", "TestBeginWaitsForAnotherProcessOutcome"},
		},
		{
			Name: "epoch not compared", Breaks: "the present holder of a dead owner's slot counts as that owner, so that no process finishes its intents",
			Edits:   []Edit{{"if newest != epoch {", "if newest < epoch {"}},
			Killers: []string{"TestADeadOwnersPlaceIsAnothersNow"},
		},
		{
			Name: "epoch not raised", Breaks: "a process in a dead owner's slot treats that owner's intents as its own",
			Edits:   []Edit{{"coalesce(max(epoch), 0) + 1 FROM owners", "coalesce(max(epoch), 1) FROM owners"}},
			Killers: []string{"TestBeginDoubtsWhatADeadOwnerMayHaveSent", "TestARefusalAfterATakeOverIsInDoubt", "TestWithoutAContractThereIsAtMostOneEffect"},
		},
		{
			Name: "no writer queue", Breaks: "a process that writes without pause keeps the others from writing",
			Edits:   []Edit{{"return s.waitSlot(ctx, lockfile.WriterQueueSlot, \"the queue of the journal's writers\")", "return func() {}, nil"}},
			Killers: []string{"TestProcessesTakeTurns"},
		},
		{
			Name: "dead owner's silence", Breaks: "what a dead owner may have sent counts as never sent",
			Edits:   []Edit{{"if !t.MarksAttempts {", "if t.MarksAttempts {"}},
			Killers: []string{"TestClaimed", "TestARefusalAfterATakeOverIsInDoubt"},
		},
		{
			Name: "never parked", Breaks: "an intent over which every owner dies is claimed again without end",
			Edits:   []Edit{{"return st.Takeovers > MaxTakeovers", "return st.Takeovers > 1000*MaxTakeovers"}},
			Killers: []string{"TestAnIntentThatKillsItsOwnersIsParked"},
		},
		{
			Name: "parked for callers too", Breaks: "a caller's own call does not send a parked intent, although its error says so",
			Edits:   []Edit{{"return st.Takeovers <= MaxTakeovers+1", "return st.Takeovers <= MaxTakeovers"}},
			Killers: []string{"TestAnIntentThatKillsItsOwnersIsParked", "TestTheWorstMoment", "TestTakeoversAreCounted"},
		},
		{
			Name: "no mark", Breaks: "without a contract, an attempt is not marked on disk before it is sent",
			Edits:   []Edit{{"if r.record.Terms.MarksAttempts && !r.mark(now) {", "if r.record.Terms.MarksAttempts && r.began < 0 {"}},
			Killers: []string{"TestWithoutAContractThereIsAtMostOneEffect", "TestCrashesWithoutAContractMakeAtMostOneEffect"},
		},
		{
			Name: "resolved under a living owner", Breaks: "Resolve settles an intent that a live process is executing",
			Edits: []Edit{
				{"case rec.Owner == journal.OwnedByLive || !free:", "case rec.Owner == journal.OwnedByLive && !free:"},
			},
			Killers: []string{"TestWhatRunsHereIsNotResolved"},
		},
		{
			Name: "contradiction in silence", Breaks: "a success that contradicts the recorded outcome raises no alert",
			Edits:   []Edit{{"change.State == Succeeded && state != Succeeded {", "change.State == Succeeded && state == Succeeded {"}},
			Killers: []string{"TestASuccessThatContradictsAFailureIsLoud"},
		},
		{
			Name: "changed version recovered", Breaks: "Recover sends an intent that was journaled under another Policy.Version",
			Edits:   []Edit{{"case r.Terms.Version != p.Version:", "case r.Terms.Version != p.Version && p == nil:"}},
			Killers: []string{"TestRecoverSkipsWhatItMayNotRun"},
		},
		{
			Name: "other account recovered", Breaks: "Recover sends with another account's credentials",
			Edits:   []Edit{{"case r.Terms.Account != p.Account:", "case r.Terms.Account != p.Account && p == nil:"}},
			Killers: []string{"TestRecoverSkipsWhatItMayNotRun"},
		},
		{
			Name: "recovered without credentials", Breaks: "Recover sends a request without its credentials, which were not journaled",
			Edits:   []Edit{{"case len(h.Removed) > 0 && p.Authorize", "case len(h.Removed) > 1000 && p.Authorize"}},
			Killers: []string{"TestRecoveredAttemptsGetTheirCredentials"},
		},
		{
			Name: "unsendable left pending", Breaks: "Recover skips an intent that may have been sent and can never be sent again",
			Edits:   []Edit{{"if lasting(skipped) && !c.sendableLater(r, skipped) {", "if lasting(skipped) && r == nil {"}},
			Killers: []string{"TestRecover_UnsendableIntent_IsInDoubt", "TestRecover_CredentialsMissing_DoubtsWhatMayHaveBeenSent"},
		},
		{
			Name: "begun by a caller, recovered", Breaks: "Recover runs an intent that a caller in this process began a moment ago",
			Edits:   []Edit{{"running := begun || c.runs", "running := begun && r.Key == \"\" || c.runs"}},
			Killers: []string{"TestRecoverLeavesWhatWasJustBegun"},
		},
	}
}
