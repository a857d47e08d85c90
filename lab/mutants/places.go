//go:build linux && cgo

package mutants

// placeMutants returns the mutants of how intents are found.
func placeMutants() []Mutant {
	found := []string{"TestAnIntentIsFoundWhereverItsPlaceStands"}
	return []Mutant{
		{
			Name: "memory not looked at", Breaks: "an intent that is not in the table of places yet is begun a second time",
			Edits:   []Edit{{"if err != nil || len(young) > 0 {", "if err != nil {"}},
			Killers: append(found, "TestBeginReplaysASuccess"),
		},
		{
			Name: "memory not looked at for a contract's key", Breaks: "an identity whose key a contract made is begun a second time",
			Edits:   []Edit{{"len(young) == 0 && b.keyhash != 0 {", "len(young) == 0 && b.keyhash == 0 {"}},
			Killers: found,
		},
		{
			Name: "transaction's own not looked at", Breaks: "two callers that share a transaction begin one intent twice",
			Edits:   []Edit{{"if first <= added.hash && added.hash <= last {", "if false {"}},
			Killers: []string{"TestCrowdsInSeveralProcesses", "TestProcessesShareTheTableOfPlaces"},
		},
		{
			Name: "others not read", Breaks: "an intent that another process began since is begun a second time",
			Edits: []Edit{{"if c.newest >= 0 {\n\t\treturn nil\n\t}\n\tif err := s.readYoung(c)",
				"if c.newest >= 0 {\n\t\treturn nil\n\t}\n\tif s.young.read {\n\t\tnewest, err := c.integer(selectLast, 0)\n\t\tc.newest = newest\n\t\treturn err\n\t}\n\tif err := s.readYoung(c)"}},
			Killers: []string{"TestProcessesShareTheTableOfPlaces", "TestProcessesBeginInTurns"},
		},
		{
			Name: "chain cut", Breaks: "of the intents with one hash only the newest is found",
			Edits:   []Edit{{"at = p.older", "at = 0"}},
			Killers: found,
		},
		{
			Name: "all for some", Breaks: "after the first step all places count as in the table",
			Edits:   []Edit{{"if i == len(order) {\n\t\tat = ", "if i > 0 {\n\t\tat = "}},
			Killers: []string{"TestPlacesOnTheirWayAreFound"},
		},
		{
			Name: "step over", Breaks: "each step leaves out the place at which it begins",
			Edits:   []Edit{{"if p.hash > done {\n\t\t\t\treturn 1", "if p.hash >= order[min(len(order)-1, placeStep)].hash && p.hash > done && p.hash != order[min(len(order)-1, placeStep)].hash {\n\t\t\t\treturn 1"}},
			Killers: []string{"TestPlacesOnTheirWayAreFound"},
		},
		{
			Name: "never an end", Breaks: "each step inserts the places of the first one",
			Edits:   []Edit{{"at.done = order[i].hash", "at.done = order[0].hash - 1"}},
			Killers: []string{"TestPlacesOnTheirWayAreFound"},
		},
		{
			Name: "forgotten too early", Breaks: "places that are not in the table yet are dropped from memory",
			Edits:   []Edit{{"y.from = max(y.from, placed)", "y.from = max(y.from, placed) + placeEvery"}},
			Killers: append(found, "TestPlacesOnTheirWayAreFound"),
		},
		{
			Name: "never forgotten", Breaks: "every place stays in memory",
			Edits:   []Edit{{"p.intent > y.from && !slices", "!slices"}},
			Killers: []string{"TestPlacesOnTheirWayAreFound"},
		},
		{
			Name: "reader never forgets", Breaks: "a process that only reads keeps every place that others write in memory",
			Edits:   []Edit{{"if !read || crowded || again {", "if !read || crowded && false || again {"}},
			Killers: []string{"TestAReaderRemembersFewPlaces"},
		},
		{
			Name: "only the first of many", Breaks: "of the intents that others began meanwhile only a part is read",
			Edits:   []Edit{{"for more && err == nil {", "for more && err == nil && false {"}},
			Killers: []string{"TestAProcessThatSleptFindsWhatOthersBegan"},
		},
		{
			Name: "mark without its checksum", Breaks: "a damaged mark hides intents, which are begun a second time",
			Edits:   []Edit{{"n != 4 || at.encode() != string(text)", "n < 3"}},
			Killers: []string{"TestADamagedMarkOfThePlacesIsToldLoudly"},
		},
		{
			Name: "dropped before it is read", Breaks: "after a pruning that was rolled back, the intents that it would have dropped are begun a second time",
			Edits:   []Edit{{"if err := s.enter(c); err != nil {\n\t\treturn 0, 0, err\n\t}\n\tnewest := c.newest", "newest, err := c.integer(selectLast, 0)\n\tif err != nil {\n\t\treturn 0, 0, err\n\t}"}},
			Killers: []string{"TestAPruningThatIsUndoneLosesNothing"},
		},
		{
			Name: "dropped stay in the table", Breaks: "places of dropped intents stay in the table",
			Edits:   []Edit{{"dropPlaces, dropKindred, dropIntent", "dropKindred, dropIntent"}},
			Killers: []string{"TestADroppedIntentLeavesNoPlace"},
		},
		{
			Name: "dropped stay in memory", Breaks: "places of dropped intents are inserted into the table",
			Edits:   []Edit{{"p.intent > y.from && !slices.Contains(dropped, p.intent)", "p.intent > y.from"}},
			Killers: []string{"TestADroppedIntentLeavesNoPlace"},
		},
		{
			Name: "dropped stay among their kind", Breaks: "dropped intents are still listed by operation",
			Edits:   []Edit{{"dropPlaces, dropKindred, dropIntent", "dropPlaces, dropIntent"}},
			Killers: []string{"TestADroppedIntentLeavesNoPlace"},
		},
		{
			Name: "kinds not noted", Breaks: "no intent below the floor is found by its operation",
			Edits:   []Edit{{"if err := c.change(addKindred, floor, upTo); err != nil {", "if err := error(nil); err != nil {"}},
			Killers: found,
		},
		{
			Name: "kinds of the tail not read", Breaks: "the newest intents are not found by their operation",
			Edits:   []Edit{{"AND id >= ` + sqlFloor + ` AND kind = ?1 ORDER BY 1", "AND 0 AND kind = ?1 ORDER BY 1"}},
			Killers: found,
		},
		{
			Name: "not migrated places", Breaks: "in a migrated journal no intent is found by its identity",
			Edits:   []Edit{{"if version < 4 {", "if version < 4 && false {"}},
			Killers: []string{"TestMigrate"},
		},
	}
}
