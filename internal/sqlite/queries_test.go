//go:build cgo

package sqlite_test

import (
	"database/sql"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/sqlite"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// Every look-up goes by an index, or begins at a known row: none reads a table
// that grows with the settled intents from its start.
func TestLookupsUseIndexes(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	c := clientkit.NewClient(t, path)
	_, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "order-1"}, testkit.NewInvoice(t, "http://api.invalid", 5))
	require.NoError(t, err)

	p := testkit.StartChild(t, "Plans", path)
	scan := regexp.MustCompile(`SCAN (i|intents|o|outcomes|changes|a|aliases|guarded|notes|p|places|kindred)\b`)
	for range sqlite.Queries() {
		name, plan, _ := strings.Cut(p.Hear(), ": ")
		t.Logf("%s: %s", name, plan)
		require.NotRegexp(t, scan, plan, "%s", name)
		if name != "open" && name != "failed" { // these sort what is open, or failed, on one page
			require.NotContains(t, plan, "TEMP B-TREE", "%s: it sorts what an index has in order", name)
		}
		require.NotContains(t, plan, "AUTOMATIC", "%s: an index made for one query", name)
	}
	p.Wait()
}

// Plans is a child that says how SQLite would carry out each query.
func (children) Plans(l *testkit.Link) error {
	var path string
	if err := l.Args(&path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	if err != nil {
		return err
	}
	for name, query := range sqlite.Queries() {
		rows, err := db.Query("EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "?"))...)
		if err != nil {
			return err
		}
		var steps []string
		for rows.Next() {
			var id, parent, unused int
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				return err
			}
			steps = append(steps, step)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		l.Say("%s: %s", name, strings.Join(steps, "; "))
	}
	return db.Close()
}
