//go:build linux && cgo

package mutants

// lifeMutants returns the mutants of what the evidence of an attempt means for its intent.
func lifeMutants() []Mutant {
	return []Mutant{
		{
			Name: "refusal after a maybe", Breaks: "a refusal settles an intent whose earlier attempt may have executed",
			Edits:   []Edit{{"clean := !st.MayHaveExecuted || e.Stored", "clean := !st.MayHaveExecuted || e.Stored || e.Result == Refused"}},
			Killers: []string{"TestARefusalAfterALostReplyIsInDoubt"},
		},
		{
			Name: "not sent after a maybe", Breaks: "a later attempt that was not sent settles an intent that may have executed",
			Edits:   []Edit{{"case clean && st.FirstSent.IsZero():", "case clean && st.FirstSent.IsZero() || st.MayHaveExecuted:"}},
			Killers: []string{"TestNotSentAfterALostReplyIsInDoubt"},
		},
		{
			Name: "stored refusal in doubt", Breaks: "a stored reply does not count for the earlier attempts of its key",
			Edits:   []Edit{{"clean := !st.MayHaveExecuted || e.Stored", "clean := !st.MayHaveExecuted"}},
			Killers: []string{"TestAStoredRefusalAfterALostReplyIsAFailure"},
		},
		{
			Name: "unknown forgotten", Breaks: "an attempt that may have executed is not recorded as such",
			Edits:   []Edit{{"case InFlight, Unknown:\n\t\tst.MayHaveExecuted = true", "case InFlight, Unknown:\n"}},
			Killers: []string{"TestARefusalAfterALostReplyIsInDoubt", "TestAfter"},
		},
		{
			Name: "unknown sent again", Breaks: "without a contract, an intent that may have executed is sent again",
			Edits: []Edit{ // the first edit alone changes nothing: MaySend refuses each further attempt
				{"if more && keepsKeys && !e.Stored {", "if more && !e.Stored {"},
				{"return !st.MayHaveExecuted\n", "return true\n"},
			},
			Killers: []string{"TestRepliesThatAreNotWhole", "TestWithoutAContractThereIsAtMostOneEffect"},
		},
		{
			Name: "unknown sent by the next call", Breaks: "without a contract, a later call sends an intent that may have executed",
			Edits:   []Edit{{"return !st.MayHaveExecuted\n", "return true\n"}},
			Killers: []string{"TestWithoutAContractThereIsAtMostOneEffect"},
		},
		{
			Name: "stored 500 asked again", Breaks: "a stored reply, which stays the same, is requested again and again",
			Edits:   []Edit{{"if more && keepsKeys && !e.Stored {", "if more && keepsKeys {"}},
			Killers: []string{"TestStored500"},
		},
		{
			Name: "stored 500 settles", Breaks: "a stored 500 counts as a refusal",
			Edits: []Edit{{"case ReplyUsual:", "case ReplyUsual:\n\t\tif stored && resp.StatusCode >= 500 {\n" +
				"\t\t\te.Result = lifecycle.Refused\n\t\t\treturn e\n\t\t}"}},
			Killers: []string{"TestStored500"},
		},
		{
			Name: "5xx refused", Breaks: "an error of the server counts as proof that nothing happened",
			Edits:   []Edit{{"422, 426, 428, 431:", "422, 426, 428, 431, 500, 502, 503, 504:"}},
			Killers: []string{"TestStatusesWithoutAContract"},
		},
		{
			Name: "409 refused", Breaks: "a conflict, perhaps with an earlier attempt of the same intent, counts as a refusal",
			Edits:   []Edit{{"405, 406, 410,", "405, 406, 409, 410,"}},
			Killers: []string{"TestStatusesWithoutAContract"},
		},
		{
			Name: "206 done", Breaks: "a partial reply counts as the outcome",
			Edits:   []Edit{{"case 200, 201, 202, 204:", "case 200, 201, 202, 204, 206, 207:"}},
			Killers: []string{"TestStatusesWithoutAContract"},
		},
		{
			Name: "portal's page done", Breaks: "a login page with status 200 counts as the outcome",
			Edits:   []Edit{{"asksJSON && isHTML(resp.Header) {", "asksJSON && isHTML(resp.Header) && code == 0 {"}},
			Killers: []string{"TestCaptivePortal"},
		},
		{
			Name: "mismatch refused", Breaks: "a server that has other bytes under the key counts as a refusal",
			Edits:   []Edit{{"e.Result, e.Reason = lifecycle.Mismatch,", "e.Result, e.Reason = lifecycle.Refused,"}},
			Killers: []string{"TestConflicts"},
		},
		{
			Name: "in flight refused", Breaks: "an attempt that the server is executing counts as refused",
			Edits:   []Edit{{"return ReplyInFlight\n\tcase r.StatusCode == http.StatusTooManyRequests:", "return ReplyRefused\n\tcase r.StatusCode == http.StatusTooManyRequests:"}},
			Killers: []string{"TestConflicts"},
		},
		{
			Name: "cut reply done", Breaks: "a reply that ends in the middle counts as the outcome",
			Edits:   []Edit{{"r.Body, err = io.ReadAll(io.LimitReader(resp.Body, limit))", "r.Body, _ = io.ReadAll(io.LimitReader(resp.Body, limit))"}},
			Killers: []string{"TestRepliesThatAreNotWhole"},
		},
		{
			Name: "short reply done", Breaks: "a reply shorter than its Content-Length counts as the outcome",
			Edits:   []Edit{{"err = io.ErrUnexpectedEOF\n", "err = nil\n"}},
			Killers: []string{"TestAReplyShorterThanItSays"},
		},
		{
			Name: "silent transport believed", Breaks: "a transport that reports no connections counts as one that had none",
			Edits:   []Edit{{"return w.asked.Load() && !w.had.Load()", "return !w.had.Load()"}},
			Killers: []string{"TestTransportThatTellsNothing"},
		},
		{
			Name: "connection had, not sent", Breaks: "an attempt that had a connection and lost it counts as not sent",
			Edits:   []Edit{{"return w.asked.Load() && !w.had.Load()", "return w.asked.Load()"}},
			Killers: []string{"TestRepliesThatAreNotWhole", "TestFailedMeansThatNothingHappened"},
		},
		{
			Name: "passing refusal final", Breaks: "a 401 is replayed to every later call",
			Edits:   []Edit{{"return failed(journal.FailedTransient)\n\t\t}\n\tcase RetryLater:", "return failed(journal.FailedPermanent)\n\t\t}\n\tcase RetryLater:"}},
			Killers: []string{"TestPassingAndLastingRefusals"},
		},
		{
			Name: "one attempt too many", Breaks: "a call makes one attempt more than Retry.MaxAttempts",
			Edits:   []Edit{{"r.began < r.retry.MaxAttempts", "r.began <= r.retry.MaxAttempts"}},
			Killers: []string{"TestLastReplyIsKept", "TestNotSent"},
		},
		{
			Name: "unrecorded outcome sent again", Breaks: "an outcome that could not be recorded is dropped, so that the intent is sent again",
			Edits:   []Edit{{"c.unsaved[rec.Key] = unsavedChange{rec, change}", "_ = unsavedChange{rec, change}"}},
			Killers: []string{"TestFullDisk", "TestFileSizeLimit"},
		},
		{
			Name: "unrecorded outcome withheld", Breaks: "an outcome that could not be recorded is not returned with the error",
			Edits:   []Edit{{"r.reply = r.live(reply)\n\t\t}\n\t\treturn", "r.reply = nil\n\t\t}\n\t\treturn"}},
			Killers: []string{"TestFullDisk", "TestFileSizeLimit"},
		},
	}
}
