//go:build linux && cgo

package mutants

// fileMutants break what guards the journal's files against disks, people and time.
func fileMutants() []Mutant {
	return []Mutant{
		{
			Name: "journal for everybody", Breaks: "the journal is readable for other users",
			Edits: []Edit{
				{"func createFile(path string) error {\n\tf, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)",
					"func createFile(path string) error {\n\tf, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)"},
				{"err = os.Chmod(s.path+suffix, 0o600)", "err = nil"},
			},
			Killers: []string{"TestModes"},
		},
		{
			Name: "lock file for everybody", Breaks: "the lock file may be written to, and locked, by other users",
			Edits: []Edit{
				{"func Open(path string) (*File, error) {\n\tf, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)",
					"func Open(path string) (*File, error) {\n\tf, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)"},
				{"err = f.Chmod(0o600)", "err = nil"},
			},
			Killers: []string{"TestModes"},
		},
		{
			Name: "journal unlinked unnoticed", Breaks: "a journal that was taken away goes on being written to",
			Edits:   []Edit{{"ok, err := localfs.SameFile(s.path, s.file)\n\tif ok {", "ok, err := localfs.SameFile(s.path, s.file)\n\tif ok || err != nil {"}},
			Killers: []string{"TestJournalTakenAway"},
		},
		{
			Name: "journal replaced unnoticed", Breaks: "a journal in whose place another one is goes on being written to",
			Edits:   []Edit{{"ok, err := localfs.SameFile(s.path, s.file)\n\tif ok {", "ok, err := localfs.SameFile(s.path, s.file)\n\tif ok || err == nil {"}},
			Killers: []string{"TestJournalTakenAway"},
		},
		{
			Name: "lock file replaced unnoticed", Breaks: "a lock file in whose place another one is goes on being believed",
			Edits:   []Edit{{"if ok, _ := localfs.SameFile(s.locks.Path(), s.locks.Info()); ok {", "if ok, err := localfs.SameFile(s.locks.Path(), s.locks.Info()); ok || err == nil {"}},
			Killers: []string{"TestJournalTakenAway", "TestLockFileThatIsGone"},
		},
		{
			Name: "lock file of another journal", Breaks: "a journal is opened beside the lock file of another one",
			Edits:   []Edit{{"if isJournalID(id) {", "if isJournalID(id) && id == journal {"}},
			Killers: []string{"TestCopyOfAJournal"},
		},
		{
			Name: "missing journal made anew", Breaks: "a journal that is missing is made anew beside the lock file that tells of it",
			Edits:   []Edit{{`if id != "" {`, `if id == "none" {`}},
			Killers: []string{"TestJournalThatIsGone"},
		},
		{
			Name: "lock file lost with open intents", Breaks: "a new lock file is made although intents are open whose owners hold locks in the old one",
			Edits:   []Edit{{"if open {", "if open && err != nil {"}},
			Killers: []string{"TestLockFileThatIsGone", "TestOpenWithDamagedLockFileAndOpenIntents"},
		},
		{
			Name: "checksum not compared", Breaks: "a row that the disk changed is believed",
			Edits:   []Edit{{"return sum == s.with(numbers...)", "return true"}},
			Killers: []string{"TestFlippedBits", "TestChangedColumns"},
		},
		{
			Name: "checksum of an outcome", Breaks: "an outcome that the disk changed is handed out",
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
			Name: "stranger's row not looked at", Breaks: "a row that a hash leads to and that is another's is not checked: the disk may have made it so",
			Edits:   []Edit{{"if _, err := s.load(c, id); err != nil {\n\t\t\treturn err\n\t\t}\n\t}\n\treturn nil", "if _, err := s.load(c, id); err != nil {\n\t\t\treturn nil\n\t\t}\n\t}\n\treturn nil"}},
			Killers: []string{"TestDamagedRowIsNotAnothers"},
		},
		{
			Name: "witness not checked", Breaks: "a journal that lost acknowledged rows is opened",
			Edits:   []Edit{{"s.checkWitnesses(); err != nil {", "s.checkWitnesses(); err != nil && s.locks == nil {"}},
			Killers: []string{"TestJournalThatLostRowsIsRefused"},
		},
		{
			Name: "witness not written", Breaks: "no note is kept of the last row that was acknowledged",
			Edits:   []Edit{{"if committed {", "if committed && s.q == nil {"}},
			Killers: []string{"TestJournalThatLostRowsIsRefused"},
		},
		{
			Name: "witness of an intent only", Breaks: "the note of the last row forgets which change of the intent it was",
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
			Name: "reply's cookie kept", Breaks: "a credential that the far side sets is journaled with the reply",
			Edits:   []Edit{{`if !secretHeader(name, values, "") {`, `if name != "" {`}},
			Killers: []string{"TestCredentialsStayOffTheDisk"},
		},
		{
			Name: "credential in an error", Breaks: "an error's text, which is journaled and logged, has the request's secrets in it",
			Edits:   []Edit{{"if text == whole {", "if text != \"\" {"}},
			Killers: []string{"TestCredentialsStayOutOfErrors"},
		},
	}
}
