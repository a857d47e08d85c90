//go:build linux && cgo

package mutants

// contractMutants break what providers' replies mean.
func contractMutants() []Mutant {
	return []Mutant{
		{
			Name: "GraphQL half done", Breaks: "a GraphQL answer with errors beside its data is read as if it had none",
			Edits:   []Edit{{"case len(reply.Errors) > 0 || answers.empty():", "case answers.empty():"}},
			Killers: []string{"TestVerdicts"},
		},
		{
			Name: "GraphQL errors disagree", Breaks: "of several GraphQL errors only the last is looked at",
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
