//go:build linux && cgo

package mutants

// payloadMutants returns the mutants of when two payloads are the same.
func payloadMutants() []Mutant {
	return []Mutant{
		{
			Name: "body not fingerprinted", Breaks: "another body under a known ID gets the first outcome",
			Edits:   []Edit{{"return sha256.Sum256(append(b, body...))", "return sha256.Sum256(append(b, body[:0]...))"}},
			Killers: []string{"TestOneIntentOneKeyOnePayload", "TestFingerprintOfJSON"},
		},
		{
			Name: "form not fingerprinted", Breaks: "another form under a known ID gets the first outcome",
			Edits:   []Edit{{"b = AppendParts(b, kind)\n\tif kind == \"form\" {", "b = AppendParts(b, kind)\n\tif kind == \"none\" {"}},
			Killers: []string{"TestOneIntentOneKeyOnePayload", "TestFingerprintOfForms"},
		},
		{
			Name: "path not fingerprinted", Breaks: "the same body to another path gets the first outcome",
			Edits:   []Edit{{"strings.ToLower(p.Host), p.Path)", "strings.ToLower(p.Host), \"\")"}},
			Killers: []string{"TestFingerprintPartsNeverRunTogether", "TestMismatchNamesTheField"},
		},
		{
			Name: "host not fingerprinted", Breaks: "the same request to another host gets the first outcome",
			Edits:   []Edit{{"p.Method, strings.ToLower(p.Host), p.Path)", "p.Method, \"\", p.Path)"}},
			Killers: []string{"TestFingerprintPartsNeverRunTogether", "TestMismatchNamesTheField"},
		},
		{
			Name: "method not fingerprinted", Breaks: "a DELETE gets the outcome of a PUT",
			Edits:   []Edit{{"AppendParts(space[:0], p.Method,", "AppendParts(space[:0], \"\","}},
			Killers: []string{"TestFingerprintPartsNeverRunTogether", "TestMismatchNamesTheField"},
		},
		{
			Name: "query not fingerprinted", Breaks: "another query gets the first outcome",
			Edits:   []Edit{{"); ok {\n\t\tb = appendPairs(b, pairs)\n", "); ok {\n\t\t_ = pairs\n"}},
			Killers: []string{"TestFingerprintPartsNeverRunTogether", "TestMismatchNamesTheField"},
		},
		{
			Name: "parts not framed", Breaks: "two payloads whose parts concatenate to the same bytes are the same",
			Edits: []Edit{{"b = binary.AppendUvarint(b, uint64(len(part)))\n", ""},
				{"b = append(binary.AppendUvarint(b, uint64(len(part))), part...)", "b = append(binary.AppendUvarint(b, 0)[:len(b)], part...)"}},
			Killers: []string{"TestFieldsNeverRunTogether"},
		},
		{
			Name: "large numbers rounded", Breaks: "9007199254740993 and 9007199254740992 are the same number",
			Edits:   []Edit{{"jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false)", "jsontext.CanonicalizeRawInts(true), jsontext.CanonicalizeRawFloats(true)"}},
			Killers: []string{"TestFingerprintOfJSON"},
		},
		{
			Name: "1.0 is not 1", Breaks: "one number written in two ways is a mismatch",
			Edits:   []Edit{{"return exactNumbers(value), true", "return value, true"}},
			Killers: []string{"TestFingerprintOfJSON"},
		},
		{
			Name: "Ignore ignored", Breaks: "a field in Policy.Ignore makes a mismatch",
			Edits:   []Edit{{"return p.Ignore\n", "return nil\n"}},
			Killers: []string{"TestFingerprintIgnores"},
		},
		{
			Name: "mismatch replayed", Breaks: "another payload under a known ID gets the first outcome",
			Edits:   []Edit{{"case !same:\n", "case !same && running:\n"}},
			Killers: []string{"TestBeginReplaysASuccess", "TestOneIntentOneKeyOnePayload"},
		},
		{
			Name: "mismatch joins", Breaks: "another payload joins the run under its ID",
			Edits:   []Edit{{"case !same:\n", "case !same && !running:\n"}},
			Killers: []string{"TestBeginJoinsWhatRunsHere"},
		},
		{
			Name: "mismatch shows the value", Breaks: "an ErrMismatch shows the value of a field",
			Edits:   []Edit{{"return min(string(a[i][0]), string(b[i][0])), true", "return min(string(a[i][1]), string(b[i][1])), true"}},
			Killers: []string{"TestMismatchNamesTheField"},
		},
		{
			Name: "corrected input in doubt", Breaks: "an agent cannot correct an input that was refused",
			Edits:   []Edit{{"case st.State == journal.Failed && !same:", "case st.State == journal.Failed && !same && running:"}},
			Killers: []string{"TestBeginReplaysARefusal"},
		},
	}
}
