package testkit

import (
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// OpenRaw is the journal as plain SQLite. No client may have it open in this
// process: SQLite's locks would go with the first handle that is closed.
func OpenRaw(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=rw&_busy_timeout=10000")
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// rawIntent is an intent as its rows say, read with code of the tests' own.
type rawIntent struct {
	id                 int64
	key, previous      string
	scope, op, name    string
	repeat, begun      int64
	forgotten          bool
	marked             bool // an attempt is marked on disk before it is sent
	rows               []rawRow
	fingerprint, terms string
}

// rawRow is a change or an outcome.
type rawRow struct {
	outcome                             bool
	generation, version, kind           int64
	owner, at                           int64
	state, failure, attempts, takeovers int64
	maybe                               bool
	firstSent, window                   int64
	reason                              string
	tries                               []rawTry
	stored                              bool // its reply says that it was a stored one
	status                              int64
}

type rawTry struct {
	status int64
	reason string
}

// How rows number kinds, states and failures: the format that is on disk.
const (
	rowClaimed, RowMarked, rowReleased, rowDoubted, rowSettled, rowResolved = 1, 2, 3, 4, 5, 6

	rowPending, rowSucceeded, rowFailed, rowInDoubt = 0, 1, 2, 3

	rowUnsent, rowForNow, rowForGood, rowByResolver, rowAgain = 1, 2, 3, 4, 5
)

// JournalProblems is what is wrong with a journal's rows.
func JournalProblems(t testing.TB, path string) []string {
	t.Helper()
	db, err := OpenRaw(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var sound string
	require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&sound))
	if sound != "ok" {
		return []string{"integrity_check: " + sound}
	}
	intents := rawIntents(t, db)
	var problems []string
	for _, in := range intents {
		problems = append(problems, in.problems()...)
	}
	problems = append(problems, placeProblems(t, db)...)
	return append(problems, chainProblems(intents)...)
}

// placeProblems are intents that a look-up would miss, and what leads to none.
func placeProblems(t testing.TB, db *sql.DB) (problems []string) {
	t.Helper()
	const placed = `SELECT CAST(value AS INTEGER) FROM vals WHERE name = 'placed'`
	const floor = `SELECT coalesce((SELECT CAST(value AS INTEGER) FROM vals WHERE name = 'floor'), 1)`
	for what, query := range map[string]string{
		"is not in the table of places by its identity": `SELECT id FROM intents WHERE id <= (` + placed + `) AND identity IS NOT NULL
			AND NOT EXISTS (SELECT 1 FROM places WHERE hash = identity AND intent = id)`,
		"is not in the table of places by its key": `SELECT id FROM intents WHERE id <= (` + placed + `) AND keyhash <> 0
			AND NOT EXISTS (SELECT 1 FROM places WHERE hash = keyhash AND intent = id)`,
		"is found by neither identity nor key": `SELECT id FROM intents WHERE identity IS NULL AND keyhash = 0`,
		"is gone, and has a place":             `SELECT intent FROM places WHERE intent NOT IN (SELECT id FROM intents)`,
		"is not among those of its kind": `SELECT id FROM intents WHERE id < (` + floor + `)
			AND NOT EXISTS (SELECT 1 FROM kindred k WHERE k.kind = intents.kind AND k.intent = id)`,
		"is among those of a kind, and should not be": `SELECT intent FROM kindred WHERE intent >= (` + floor + `)
			OR NOT EXISTS (SELECT 1 FROM intents i WHERE i.id = kindred.intent AND i.kind = kindred.kind)`,
	} {
		Each(t, db, query, func(scan func(...any)) {
			var id int64
			scan(&id)
			problems = append(problems, fmt.Sprintf("intent number %d %s", id, what))
		})
	}
	return problems
}

func rawIntents(t testing.TB, db *sql.DB) []*rawIntent {
	t.Helper()
	var all []*rawIntent
	byID := map[int64]*rawIntent{}
	Each(t, db, `SELECT i.id, i.key, coalesce(i.previous, ''), i.scope, k.operation, i.name, i.repeat, i.begun,
		i.forgotten IS NOT NULL, i.fingerprint, k.terms FROM intents i JOIN kinds k ON k.id = i.kind ORDER BY i.id`,
		func(scan func(...any)) {
			in := &rawIntent{}
			scan(&in.id, &in.key, &in.previous, &in.scope, &in.op, &in.name, &in.repeat, &in.begun,
				&in.forgotten, &in.fingerprint, &in.terms)
			var terms struct{ Marked bool }
			require.NoError(t, json.Unmarshal([]byte(in.terms), &terms))
			in.marked = terms.Marked
			all = append(all, in)
			byID[in.id] = in
		})
	add := func(intent int64, row rawRow, standing, tries []byte) {
		require.True(t, byID[intent] != nil, "a row of no intent") // not require.Contains, which compares each key
		row.read(t, string(standing), string(tries))
		byID[intent].rows = append(byID[intent].rows, row)
	}
	Each(t, db, `SELECT intent, version, kind, owner, standing, at, coalesce(reason, ''), coalesce(note, ''),
		coalesce(tries, ''), checksum FROM changes`, func(scan func(...any)) {
		var intent, sum int64
		var row rawRow
		var standing, note, tries []byte
		scan(&intent, &row.version, &row.kind, &row.owner, &standing, &row.at, &row.reason, &note, &tries, &sum)
		require.True(t, sumFits(sum, []int64{row.version, row.kind, row.owner, row.at}, standing, []byte(row.reason), note, tries),
			"the checksum of a change of %s", byID[intent].key)
		add(intent, row, standing, tries)
	})
	Each(t, db, `SELECT id, version, kind, state, standing, at, coalesce(reason, ''), coalesce(note, ''), coalesce(tries, ''),
		coalesce(status, 0), coalesce(head, ''), coalesce(body, ''), checksum FROM outcomes`, func(scan func(...any)) {
		var id, state, sum int64
		row := rawRow{outcome: true}
		var standing, note, tries, head, body []byte
		scan(&id, &row.version, &row.kind, &state, &standing, &row.at, &row.reason, &note, &tries, &row.status, &head, &body, &sum)
		row.generation = id % 4096
		row.stored = strings.Contains(string(head), "Idempotent-Replayed: true")
		require.True(t, byID[id/4096] != nil, "an outcome of no intent")
		if in := byID[id/4096]; !in.forgotten {
			require.True(t, sumFits(sum, []int64{row.version, row.kind, state, row.at, row.status}, standing, []byte(row.reason), note, tries, head, body),
				"the checksum of an outcome of %s", in.key)
		}
		add(id/4096, row, standing, tries)
		in := byID[id/4096]
		require.Equal(t, state, in.rows[len(in.rows)-1].state, "an outcome's state stands in it twice")
	})
	for _, in := range all {
		slices.SortFunc(in.rows, func(a, b rawRow) int { return int(a.version - b.version) })
	}
	return all
}

// read takes a standing and the attempts apart, as their text stands in the row.
func (row *rawRow) read(t testing.TB, standing, tries string) {
	var version, maybe int64
	_, err := fmt.Sscan(standing, &version, &row.state, &row.failure, &row.attempts, &maybe, &row.firstSent, &row.window, &row.takeovers)
	require.NoError(t, err, standing)
	require.Equal(t, row.version, version, "a row's version stands in it twice")
	row.maybe = maybe == 1
	for line := range strings.Lines(tries) {
		var number, at, took int64
		var try rawTry
		var text string
		_, err := fmt.Sscanf(line, "%d %d %d %d %q %q", &number, &at, &took, &try.status, &try.reason, &text)
		require.NoError(t, err, line)
		row.tries = append(row.tries, try)
	}
}

// sumFits tells whether a row has its checksum: of its texts, and, where bit 32
// says so, of its numbers.
func sumFits(sum int64, numbers []int64, texts ...[]byte) bool {
	table, want := crc32.MakeTable(crc32.Castagnoli), uint32(0)
	for _, text := range texts {
		want = crc32.Update(want, table, append(slices.Clone(text), byte(len(text))))
	}
	if sum>>32 == 0 {
		return sum == int64(want)
	}
	for _, n := range numbers {
		want = crc32.Update(want, table, binary.BigEndian.AppendUint64(nil, uint64(n)))
	}
	return sum == 1<<32|int64(want)
}

func Each(t testing.TB, db *sql.DB, query string, row func(scan func(...any))) {
	t.Helper()
	rows, err := db.Query(query)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		row(func(to ...any) { require.NoError(t, rows.Scan(to...)) })
	}
	require.NoError(t, rows.Err())
}

// maybeSent tells whether an attempt, by what it left, may have had its effect,
// whatever a contract says of replies.
func (try rawTry) maybeSent() bool {
	switch try.status {
	case 0:
		return slices.Contains([]string{"connection lost", "connection reset", "reply cut"}, try.reason)
	case 408, 500, 502, 504:
		return true
	}
	return false
}

// problems is what one intent's rows break.
func (in *rawIntent) problems() (found []string) {
	bad := func(format string, args ...any) {
		found = append(found, fmt.Sprintf("key %s: ", in.key)+fmt.Sprintf(format, args...))
	}
	generations := int64(0)
	unknown := false // some attempt, or a dead owner's silence, may have had its effect
	last := rawRow{state: rowPending, window: in.begun}
	for i, row := range in.rows {
		if row.version != int64(i+1) {
			bad("row %d has version %d: a gap, or two rows of one version", i+1, row.version)
		}
		if last.outcome && (last.state == rowSucceeded || last.failure == rowForGood || last.failure == rowByResolver) {
			bad("version %d comes after the intent was settled for good", row.version)
		}
		if row.outcome != (row.state == rowSucceeded || row.state == rowFailed) {
			bad("version %d: state %d stands among the wrong rows", row.version, row.state)
		}
		if (row.failure != 0) != (row.state == rowFailed) {
			bad("version %d: state %d with failure %d", row.version, row.state, row.failure)
		}
		if row.kind == rowClaimed && row.reason != "claimed" && last.state == rowPending && !in.marked {
			unknown = true
		}
		for _, try := range row.tries {
			unknown = unknown || try.maybeSent()
		}
		if row.state == rowFailed && row.kind == rowSettled && unknown && !row.stored {
			bad("version %d says it failed (%s), but an earlier attempt may have had its effect", row.version, row.reason)
		}
		if row.state == rowFailed && row.maybe {
			bad("version %d says it failed, and that it may have had its effect", row.version)
		}
		if row.failure == rowUnsent && row.firstSent != 0 {
			bad("version %d says it was never sent, and when it was sent first", row.version)
		}
		if row.attempts < last.attempts {
			bad("version %d knows of %d attempts, the row before of %d", row.version, row.attempts, last.attempts)
		}
		// A mark says "about to send"; the row after it may know that nothing was. A
		// success may come from an owner that lost its claim, and knows when it sent.
		if last.firstSent != 0 && last.kind != RowMarked && row.state != rowSucceeded && (row.firstSent != last.firstSent || row.window != last.window) {
			bad("version %d: the first attempt or the window moved after something may have been sent", row.version)
		}
		if row.window < last.window && row.state != rowSucceeded {
			bad("version %d: the window moved back", row.version)
		}
		if (row.owner != 0) != (row.kind == rowClaimed || row.kind == RowMarked) {
			bad("version %d: a row of kind %d with owner %d", row.version, row.kind, row.owner)
		}
		if row.outcome {
			if row.generation != generations {
				bad("version %d is outcome %d of the intent, %d came before it", row.version, row.generation, generations)
			}
			generations++
			unknown = unknown && row.state != rowFailed
		}
		last = row
	}
	return found
}

// outlivedBy tells whether an intent failed in passing, and the time of its key was
// up, or nearly, when the next link was begun.
func (in *rawIntent) outlivedBy(next *rawIntent) bool {
	var terms struct{ Retention int64 }
	last := in.rows[len(in.rows)-1]
	return json.Unmarshal([]byte(in.terms), &terms) == nil && terms.Retention > 0 &&
		last.failure == rowForNow && next.begun-last.window > terms.Retention/2
}

// chainProblems is what is wrong among the intents of one identity, and with keys.
func chainProblems(intents []*rawIntent) (found []string) {
	keys, newest := map[string]bool{}, map[string]*rawIntent{}
	for _, in := range intents {
		if keys[in.key] {
			found = append(found, "two intents own the key "+in.key)
		}
		keys[in.key] = true
		if in.name == "" {
			continue
		}
		identity := strings.Join([]string{strconv.Quote(in.scope), strconv.Quote(in.op), strconv.Quote(in.name), fmt.Sprint(in.repeat)}, " ")
		before := newest[identity]
		switch {
		case before == nil:
		case in.previous != before.key:
			found = append(found, fmt.Sprintf("key %s: a second intent of %s that is not linked to %s", in.key, identity, before.key))
		case len(before.rows) == 0 || before.rows[len(before.rows)-1].state != rowFailed:
			found = append(found, fmt.Sprintf("key %s: a new intent of %s although %s has not failed", in.key, identity, before.key))
		case in.fingerprint == before.fingerprint && !before.forgotten && !before.outlivedBy(in) && before.rows[len(before.rows)-1].failure != rowAgain:
			found = append(found, fmt.Sprintf("key %s: a new key for the payload of %s", in.key, before.key))
		}
		newest[identity] = in
	}
	return found
}
