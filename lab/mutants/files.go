//go:build linux && cgo

package mutants

// fileMutants returns the mutants of the journal's files: modes, replaced files, checksums, encryption, secrets.
func fileMutants() []Mutant {
	return []Mutant{
		{
			Name: "journal open to other users", Breaks: "the journal is readable for other users",
			Edits: []Edit{
				{"func createFile(path string) error {\n\tf, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)",
					"func createFile(path string) error {\n\tf, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)"},
				{"err = os.Chmod(s.path+suffix, 0o600)", "err = nil"},
			},
			Killers: []string{"TestModes"},
		},
		{
			Name: "lock file open to other users", Breaks: "other users may write to the lock file and lock it",
			Edits: []Edit{
				{"func Open(path string) (*File, error) {\n\tf, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)",
					"func Open(path string) (*File, error) {\n\tf, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)"},
				{"err = f.Chmod(0o600)", "err = nil"},
			},
			Killers: []string{"TestModes"},
		},
		{
			Name: "journal unlinked unnoticed", Breaks: "writes go on to a journal whose file was removed",
			Edits:   []Edit{{"ok, err := localfs.SameFile(s.path, s.file)\n\tif ok {", "ok, err := localfs.SameFile(s.path, s.file)\n\tif ok || err != nil {"}},
			Killers: []string{"TestJournalTakenAway"},
		},
		{
			Name: "journal replaced unnoticed", Breaks: "writes go on to a journal whose file was replaced",
			Edits:   []Edit{{"ok, err := localfs.SameFile(s.path, s.file)\n\tif ok {", "ok, err := localfs.SameFile(s.path, s.file)\n\tif ok || err == nil {"}},
			Killers: []string{"TestJournalTakenAway"},
		},
		{
			Name: "lock file replaced unnoticed", Breaks: "locks in a lock file that was replaced still count",
			Edits:   []Edit{{"if ok, _ := localfs.SameFile(s.locks.Path(), s.locks.Info()); ok {", "if ok, err := localfs.SameFile(s.locks.Path(), s.locks.Info()); ok || err == nil {"}},
			Killers: []string{"TestJournalTakenAway", "TestLockFileThatIsGone"},
		},
		{
			Name: "lock file of another journal", Breaks: "a journal is opened with the lock file of another one",
			Edits:   []Edit{{"if isJournalID(id) {", "if isJournalID(id) && id == journal {"}},
			Killers: []string{"TestCopyOfAJournal"},
		},
		{
			Name: "missing journal made anew", Breaks: "a missing journal is created again although its lock file exists",
			Edits:   []Edit{{`if id != "" {`, `if id == "none" {`}},
			Killers: []string{"TestJournalThatIsGone"},
		},
		{
			Name: "lock file lost with open intents", Breaks: "a new lock file is created while the owners of open intents hold locks in the old one",
			Edits:   []Edit{{"if open {", "if open && err != nil {"}},
			Killers: []string{"TestLockFileThatIsGone", "TestOpenWithDamagedLockFileAndOpenIntents"},
		},
		{
			Name: "checksum not compared", Breaks: "a row that the disk changed is accepted",
			Edits:   []Edit{{"return sum == s.with(numbers...)", "return true"}},
			Killers: []string{"TestFlippedBits", "TestChangedColumns"},
		},
		{
			Name: "checksum of an outcome", Breaks: "an outcome that the disk changed is replayed",
			Edits: []Edit{{"if r.PrunedAt.IsZero() && !sumFits(intOf(row[10]),",
				"if !r.PrunedAt.IsZero() && !sumFits(intOf(row[10]),"}},
			Killers: []string{"TestFlippedBits", "TestChangedColumns"},
		},
		{
			Name: "checksum without numbers", Breaks: "a checksum does not cover a row's state, owner and times",
			Edits:   []Edit{{"for _, n := range numbers {", "for _, n := range numbers[:0] {"}},
			Killers: []string{"TestChangedColumns"},
		},
		{
			Name: "row with the same hash not checked", Breaks: "a row of another identity with the same hash is not checked, though the disk may have changed it",
			Edits:   []Edit{{"if _, err := s.load(c, id); err != nil {\n\t\t\treturn err\n\t\t}\n\t}\n\treturn nil", "if _, err := s.load(c, id); err != nil {\n\t\t\treturn nil\n\t\t}\n\t}\n\treturn nil"}},
			Killers: []string{"TestDamagedRowIsNotAnothers"},
		},
		{
			Name: "witness not checked", Breaks: "a journal that lost acknowledged rows is opened",
			Edits:   []Edit{{"s.checkWitnesses(); err != nil {", "s.checkWitnesses(); err != nil && s.locks == nil {"}},
			Killers: []string{"TestJournalThatLostRowsIsRefused"},
		},
		{
			Name: "witness not written", Breaks: "the last acknowledged row is not recorded outside the database",
			Edits:   []Edit{{"if committed {", "if committed && s.q == nil {"}},
			Killers: []string{"TestJournalThatLostRowsIsRefused"},
		},
		{
			Name: "witness of an intent only", Breaks: "the record of the last row lacks the version of its intent",
			Edits:   []Edit{{"return top >= m.version, err", "return top >= 0, err"}},
			Killers: []string{"TestJournalThatLostAnOutcomeIsRefused"},
		},
		{
			Name: "nonce reused", Breaks: "every value is sealed with the same nonce",
			Edits:   []Edit{{"if _, err := rand.Read(nonce); err != nil {", "if _, err := rand.Read(nonce[:0]); err != nil {"}},
			Killers: []string{"TestEveryNonceIsNew"},
		},
		{
			Name: "sealed values not bound", Breaks: "a sealed value opens in another intent's row",
			Edits:   []Edit{{"return fingerprint.AppendParts(nil, key, column) }", "return fingerprint.AppendParts(nil, column) }"}},
			Killers: []string{"TestEncryptionBindsValuesToTheirPlace"},
		},
		{
			Name: "sealed columns not bound", Breaks: "a sealed value opens in another column of its row",
			Edits:   []Edit{{"return fingerprint.AppendParts(nil, key, column) }", "return fingerprint.AppendParts(nil, key) }"}},
			Killers: []string{"TestEncryptionBindsValuesToTheirColumn"},
		},
		{
			Name: "fingerprint not keyed", Breaks: "with encryption, a guess of the payload can be checked against the fingerprint",
			Edits:   []Edit{{"if c.mac == nil {", "if c.mac == nil || len(c.mac) > 0 {"}},
			Killers: []string{"TestEncryptionHidesEverything"},
		},
		{
			Name: "header with a credential kept", Breaks: "a header whose name only contains a word such as token is journaled",
			Edits:   []Edit{{"if containsText(lower, word) {", "if string(lower) == word {"}},
			Killers: []string{"TestCredentialsStayOffTheDisk"},
		},
		{
			Name: "userinfo kept", Breaks: "the user and password of a URL are journaled",
			Edits:   []Edit{{"s.user, clean.User = u.User, nil", "s.user = u.User"}},
			Killers: []string{"TestCredentialsStayOffTheDisk"},
		},
		{
			Name: "secret query kept", Breaks: "an api_key in a query is journaled",
			Edits:   []Edit{{"(slices.ContainsFunc(secretQueries, is) || slices", "(slices"}},
			Killers: []string{"TestCredentialsStayOffTheDisk"},
		},
		{
			Name: "reply's cookie kept", Breaks: "a credential that the server sets is journaled with the reply",
			Edits:   []Edit{{`if !secretHeader(name, values, "") {`, `if name != "" {`}},
			Killers: []string{"TestCredentialsStayOffTheDisk"},
		},
		{
			Name: "credential in an error", Breaks: "the text of an error, which is journaled and logged, contains the request's secrets",
			Edits:   []Edit{{"if text == whole {", "if text != \"\" {"}},
			Killers: []string{"TestCredentialsStayOutOfErrors"},
		},
	}
}
