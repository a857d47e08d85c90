//go:build linux && cgo

package mutants

// toolMutants returns the mutants of what tools may report and do.
func toolMutants() []Mutant {
	return []Mutant{
		{
			Name: "tool overrules the wire", Breaks: "a tool's NotSent counts although its write may have arrived",
			Edits:   []Edit{{"errors.Is(err, ErrNotSent)) && maybe:", "errors.Is(err, ErrNotSent)) && maybe && stored:"}},
			Killers: []string{"TestTheWireOverrulesWhatAToolSays"},
		},
		{
			Name: "error is a failure", Breaks: "any error of a tool counts as proof that nothing happened",
			Edits:   []Edit{{`return found(lifecycle.Unknown, "error", back.out.err)`, `return found(lifecycle.Refused, "error", back.out.err)`}},
			Killers: []string{"TestAToolSaysWhatItKnows"},
		},
		{
			Name: "timed-out tool run again", Breaks: "a tool's function that timed out is started again while it still runs",
			Edits:   []Edit{{"if c.overdue[rec.Key] > 0 {", "if c.overdue[rec.Key] < 0 {"}},
			Killers: []string{"TestAToolThatOutlivesItsTimeIsInDoubt"},
		},
		{
			Name: "late success dropped", Breaks: "the late result of a tool that timed out is not recorded",
			Edits:   []Edit{{"c.recordLate(rec, x)", "_ = x"}},
			Killers: []string{"TestAToolThatOutlivesItsTimeIsInDoubt", "TestWhatComesLateAndIsNoSuccessIsAnAuditRow"},
		},
		{
			Name: "writes after its return", Breaks: "a tool's goroutine may write under its key after the function returned",
			Edits:   []Edit{{"return t.done, t.maybe, t.over || t.ctx.Err() != nil", "return t.done, t.maybe, false"}},
			Killers: []string{"TestNothingIsWrittenUnderAToolsKeyAfterItReturned"},
		},
		{
			Name: "second write under one key", Breaks: "a tool's second, different write is sent under the key of the first",
			Edits:   []Edit{{"return *in.written == print", "return *in.written == print || in.client != nil"}},
			Killers: []string{"TestAToolsSecondWriteNeedsAName"},
		},
		{
			Name: "child's doubt hidden", Breaks: "a tool may report that nothing was sent although its child may have been sent",
			Edits:   []Edit{{"call.saw(childFinding(in, err))", "call.saw(lifecycle.NotSent)"}},
			Killers: []string{"TestAToolIsNotUnsentWhereItsChildWas"},
		},
		{
			Name: "child without its scope", Breaks: "a tool's named write is not scoped by the tool's key, so that two tools share it",
			Edits:   []Edit{{"op.Scope = s.parent.Key()", "op.Scope = \"\""}},
			Killers: []string{"TestNamedWritesInsideAToolAreChildren"},
		},
		{
			Name: "ID minted each time", Breaks: "each retry of an SDK is an intent of its own",
			Edits:   []Edit{{"slot.op.ID = uuid.NewString()", "_ = uuid.NewString"}},
			Killers: []string{"TestAnSDKsOwnRetriesMeetOneIntent"},
		},
		{
			Name: "unknown fields taken", Breaks: "an argument without a field is ignored",
			Edits:   []Edit{{"d.DisallowUnknownFields()\n", ""}},
			Killers: []string{"TestCallsThatCannotBeMade", "TestAnInputThatNoLongerDecodesIsLeftAsItIs"},
		},
		{
			Name: "changed input type run", Breaks: "a recovered tool acts on an input that lost a field",
			Edits:   []Edit{{"if at, lost := lostValue(a, b, \"\"); lost {", "if at, lost := lostValue(a, b, \"\"); lost && at == \"none\" {"}},
			Killers: []string{"TestAnInputThatNoLongerDecodesIsLeftAsItIs"},
		},
	}
}
