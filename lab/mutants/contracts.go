//go:build linux && cgo

package mutants

// contractMutants returns the mutants of what the replies of providers mean.
func contractMutants() []Mutant {
	return []Mutant{
		{
			Name: "GraphQL half done", Breaks: "a GraphQL reply with data and errors is read as if it had no errors",
			Edits:   []Edit{{"case len(reply.Errors) > 0 || answers.empty():", "case answers.empty():"}},
			Killers: []string{"TestVerdicts"},
		},
		{
			Name: "GraphQL errors disagree", Breaks: "of several GraphQL errors only the last counts",
			Edits:   []Edit{{"ran || (i > 0 && v != verdict) {", "ran || i < 0 {"}},
			Killers: []string{"TestErrorsHaveToAgree"},
		},
		{
			Name: "AWS in progress refused", Breaks: "a transaction that AWS is still executing is taken for refused",
			Edits:   []Edit{{"case \"TransactionInProgressException\":\n\t\treturn idem.ReplyInFlight", "case \"TransactionInProgressException\":\n\t\treturn idem.ReplyRefused"}},
			Killers: []string{"TestVerdicts"},
		},
	}
}
