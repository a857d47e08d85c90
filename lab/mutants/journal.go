//go:build linux && cgo

package mutants

// journalMutants returns the mutants of the journal's rows and transactions.
func journalMutants() []Mutant {
	return []Mutant{
		{
			Name: "synchronous NORMAL", Breaks: "a commit is not on disk when it returns, and the pragma is not read back",
			Edits: []Edit{
				{"_synchronous=FULL", "_synchronous=NORMAL"},
				{"|| sync != 2", "|| sync < 1"},
			},
			Killers: []string{"TestPragmas"},
		},
		{
			Name: "pragmas not read back", Breaks: "a connection that SQLite did not make durable is used",
			Edits: []Edit{
				{"return readBack(c)\n}", "return nil\n}"},
				{"if err := readBack(c); err != nil {", "if err := error(nil); err != nil {"},
			},
			Killers: []string{"TestPragmas"},
			Equivalent: "SQLite's own VFS on every system gives WAL and FULL where the DSN asks for them; " +
				"the check is for a build with another VFS, and for a DSN that is changed: synchronous NORMAL has to drop it to get through",
		},
		{
			Name: "journal after send", Breaks: "the intent is written while its request is on its way",
			Edits: []Edit{{"obstacle, standing, err := c.journal.Begin(ctx, r, checksOf(p, r.Operation, r.CreatedAt))",
				"var obstacle journal.Conflict\nvar standing *journal.Record\nvar err error\n" +
					"time.AfterFunc(20*time.Millisecond, func() { c.journal.Begin(context.Background(), r, checksOf(p, r.Operation, r.CreatedAt)) })"}},
			Killers: []string{"TestNothingIsSentBeforeItIsOnDisk"},
		},
		{
			Name: "answer before COMMIT", Breaks: "a transaction is committed when the next one begins, after its writers got their results",
			Edits: []Edit{
				{`q.conn.exec("COMMIT")`, `q.conn.exec("SELECT 1")`},
				{`err := q.conn.exec("BEGIN IMMEDIATE")`, "q.conn.exec(\"COMMIT\")\nerr := q.conn.exec(\"BEGIN IMMEDIATE\")"},
			},
			Killers: []string{"TestNothingIsSentBeforeItIsOnDisk"},
		},
		{
			Name: "COMMIT error ignored", Breaks: "a failed commit counts as successful",
			Edits:   []Edit{{"return nil, q.commitFailed(err)", "q.commitFailed(err)\nreturn nil, nil"}},
			Killers: []string{"TestFullDisk", "TestFileSizeLimit"},
		},
		{
			Name: "writes after a broken COMMIT", Breaks: "after an I/O error at COMMIT the journal goes on writing",
			Edits:   []Edit{{"s.Code != sqlite3.ErrFull {", "s.Code != sqlite3.ErrFull && false {"}},
			Killers: []string{"TestFullDisk", "TestFileSizeLimit"},
		},
		{
			Name: "ErrMaybeRecorded swallowed", Breaks: "the error of a Begin whose commit failed half-way says that nothing was recorded",
			Edits:   []Edit{{"case errors.Is(err, ErrMaybeRecorded):", "case errors.Is(err, ErrMaybeRecorded) && r == nil:"}},
			Killers: []string{"TestFullDisk", "TestFileSizeLimit"},
		},
		{
			Name: "one bad write fails the batch", Breaks: "a failed write makes the others in its transaction fail",
			Edits:   []Edit{{"return w, plain(err)", "return nil, plain(err)"}},
			Killers: []string{"TestABadWriteHarmsNoOther"},
		},
		{
			Name: "counts lost with a transaction", Breaks: "counts are lost when their transaction is rolled back",
			Edits:   []Edit{{"if !committed {", "if !committed && false {"}},
			Killers: []string{"TestCountsOutliveAFullDisk"},
		},
		{
			Name: "settled twice", Breaks: "a second outcome is recorded",
			Edits:   []Edit{{"!again || state != int64(journal.Failed) || err != nil {", "!again && change.Kind != journal.Settled || err != nil || state < 0 {"}},
			Killers: []string{"TestSQLiteJournal", "TestASettledOutcomeNeverChanges"},
		},
		{
			Name: "first outcome replaced", Breaks: "the fast path of settling overwrites an outcome",
			Edits:   []Edit{{"settleFirst = `INSERT INTO outcomes", "settleFirst = `INSERT OR REPLACE INTO outcomes"}},
			Killers: []string{"TestAnOutcomeOfAnothersIsNotReplaced", "TestASuccessThatContradictsAFailureIsLoud"},
		},
		{
			Name: "short way past a claim", Breaks: "the fast path of settling does not check whether another opener claimed the intent",
			Edits:   []Edit{{"CASE WHEN EXISTS (SELECT 1 FROM changes WHERE intent = ?1 / 4096) THEN NULL ELSE ?2 END", "?2"}},
			Killers: []string{"TestAStaleOwnersRefusalIsFenced", "TestAStaleOwnersSuccessIsRecorded", "TestSQLiteJournal"},
		},
		{
			Name: "version not compared", Breaks: "a claim that was decided on an older version is accepted",
			Edits: []Edit{{"if version != top+1 {",
				"if change.Kind == journal.Claimed {\nversion = top + 1\n}\nif version != top+1 {"}},
			Killers: []string{"TestSQLiteJournal", "TestNobodyWritesWhatALivingOwnerHas"},
		},
		{
			Name: "late success fenced", Breaks: "a late success is dropped although nothing is settled",
			Edits: []Edit{{"if !proven || version > top {",
				"if version > 0 {"}},
			Killers: []string{"TestAStaleOwnersSuccessIsRecorded"},
		},
		{
			Name: "living owner not asked", Breaks: "a change is accepted although another live process owns the intent",
			Edits:   []Edit{{"if owner == journal.OwnedByLive && !proven {", "if owner == journal.OwnedByLive && version < 0 {"}},
			Killers: []string{"TestNobodyWritesWhatALivingOwnerHas", "TestAStaleOwnersRefusalIsFenced", "TestSQLiteJournal"},
		},
		{
			Name: "key given twice", Breaks: "two intents may own one key",
			Edits:   []Edit{{"} else if other != 0 {", "} else if other < 0 {"}},
			Killers: []string{"TestAKeyIsNeverGivenTwice"},
		},
		{
			Name: "journal's key given twice", Breaks: "a contract may return a key that the journal made for another intent",
			Edits:   []Edit{{"CASE WHEN EXISTS (SELECT 1 FROM places WHERE hash BETWEEN ?18 AND ?19)", "CASE WHEN 0*(?18 + ?19)"}},
			Killers: []string{"TestAnIntentIsFoundWhereverItsPlaceStands"},
		},
		{
			Name: "contract's key given twice", Breaks: "a contract may return a key again that it made long ago",
			Edits:   []Edit{{"OR EXISTS (SELECT 1 FROM places WHERE hash = ?20)", "OR 0*?20"}},
			Killers: []string{"TestAnIntentIsFoundWhereverItsPlaceStands"},
		},
		{
			Name: "key shows the identity", Breaks: "two keys show whether they belong to the same ID",
			Edits: []Edit{
				{"x := uint64(identityHash(op))>>4 ^ l.mask(id)", "x := uint64(identityHash(op)) >> 4"},
				{"x = (x>>16<<12 | x&0xfff) ^ l.mask(id)", "x = (x>>16<<12 | x&0xfff)"},
			},
			Killers: []string{"TestAKeyTellsNothing"},
		},
		{
			Name: "identity given twice", Breaks: "the fast path of Begin does not check whether the identity exists",
			Edits:   []Edit{{" OR EXISTS (SELECT 1 FROM places WHERE hash = ?2)", ""}},
			Killers: []string{"TestAnIntentIsFoundWhereverItsPlaceStands"},
		},
		{
			Name: "alias not looked at", Breaks: "the fast path of Begin does not check whether the ID is an alias",
			Edits:   []Edit{{"OR EXISTS (SELECT 1 FROM aliases INDEXED BY aliases_identity WHERE identity = ?2)", ""}},
			Killers: []string{"TestAnAliasOutlivesItsPolicy"},
		},
		{
			Name: "stale newest number", Breaks: "a transaction numbers its rows without those that other processes added since",
			Edits:   []Edit{{"q.conn.changed, q.conn.last, q.conn.newest = false, rowMark{}, -1", "q.conn.changed, q.conn.last = false, rowMark{}"}},
			Killers: []string{"TestProcessesBeginInTurns"},
		},
		{
			Name: "error handed to the next", Breaks: "the error of a write is returned to the next writer",
			Edits:   []Edit{{"w.rows, w.err = nil, nil", "w.rows = nil"}},
			Killers: []string{"TestABadWriteHarmsNoOther"},
		},
		{
			Name: "remembered without Repeat", Breaks: "a cached settled intent is replayed for its intended repeats",
			Edits:   []Edit{{" && op.Repeat == other.Repeat", ""}},
			Killers: []string{"TestARepeatIsAnotherIntent"},
		},
		{
			Name: "remembered one shared", Breaks: "callers get the cached record itself, which encryption opens in place",
			Edits:   []Edit{{"return copyRecord(known), nil", "return known, nil"}},
			Killers: []string{"TestASealedOutcomeIsReplayedAnyNumberOfTimes"},
		},
		{
			Name: "Repeat ignored", Breaks: "an intended repeat is treated as the first use",
			Edits:   []Edit{{"case intOf(row[5]) != int64(op.Repeat):", "case intOf(row[5]) < 0:"}},
			Killers: []string{"TestARepeatIsAnotherIntent"},
		},
		{
			Name: "open intent below the floor", Breaks: "the sweep raises the floor past an open intent that it did not park",
			Edits:   []Edit{{"c.change(parkOpen, floor, upTo)", "c.change(parkOpen, floor, upTo-1)"}},
			Killers: []string{"TestEveryOpenIntentIsFound"},
		},
		{
			Name: "parked ignored", Breaks: "recovery does not read the parked intents below the floor",
			Edits:   []Edit{{"FROM parked WHERE id > ?1 * 4096 + 4095", "FROM parked WHERE id > ?1 * 4096 + 4095 AND 0"}},
			Killers: []string{"TestSQLiteJournal", "TestBeginTriesAgainAfterAPassingRefusal"},
		},
		{
			Name: "reopened and not parked", Breaks: "recovery does not find an intent that was reopened",
			Edits:   []Edit{{"if settled { // opened again", "if settled && version < 0 { // opened again"}},
			Killers: []string{"TestSQLiteJournal", "TestBeginTriesAgainAfterAPassingRefusal", "TestBeginReopensWhatWasNeverSent"},
		},
		{
			Name: "open intent shortened", Breaks: "pruning drops the payload of an open intent",
			Edits:   []Edit{{"case x.settled == 0 || x.settled >= before:", "case x.settled >= before:"}},
			Killers: []string{"TestSQLiteJournal"},
		},
		{
			Name: "open intent dropped", Breaks: "pruning drops an open intent",
			Edits:   []Edit{{"if x.settled != 0 && x.settled < before", "if x.settled < before"}},
			Killers: []string{"TestSQLiteJournal"},
		},
		{
			Name: "reopened intent shortened", Breaks: "pruning treats a reopened intent as settled",
			Edits:   []Edit{{"if row[3] != nil && intOf(row[3]) > intOf(row[4]) {", "if row[3] != nil {"}},
			Killers: []string{"TestPruningLeavesWhatWasOpenedAgain"},
		},
		{
			Name: "newest row dropped", Breaks: "pruning drops the newest intent, so that its number is used again",
			Edits:   []Edit{{" && x.id != newest", " && newest > 0"}},
			Killers: []string{"TestWitnessOfPrunedRow", "TestSQLiteJournal"},
		},
		{
			Name: "identity dropped early", Breaks: "pruning drops the identity with the outcome, so that its ID would be executed again",
			Edits:   []Edit{{"func(c *conn, after int64) (int, int64, error) { return s.dropOld(c, after, identities.UnixNano()) }", "func(c *conn, after int64) (int, int64, error) { return s.dropOld(c, after, outcomes.UnixNano()) }"}},
			Killers: []string{"TestSQLiteJournal", "TestAliasesLastAsLongAsIdentities"},
		},
		{
			Name: "migration without a transaction", Breaks: "each step of a migration is committed separately",
			Edits: []Edit{
				{`c.exec("BEGIN IMMEDIATE")`, `c.exec("SELECT 1")`},
				{`err = c.exec("COMMIT")`, `err = c.exec("SELECT 2")`},
			},
			Killers: []string{"TestAMigrationIsWholeOrNothing"},
		},
	}
}
