//go:build cgo

package sqlite_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// copied puts an earlier version's journal and its lock file where a test may
// change them.
func copied(t *testing.T, name string) string {
	t.Helper()
	path := testkit.NewPath(t)
	for _, suffix := range []string{"", ".owners"} {
		data, err := os.ReadFile(filepath.Join("testdata", name+suffix))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path+suffix, data, 0o600))
	}
	return path
}

// A journal written by an earlier version loses nothing when this one opens it: the
// file in testdata was left by that version's own code, killed in the middle of an
// attempt. What was settled is handed out again, what was open is finished, what
// was in doubt stays so, and what came since (guards, pruning) works on it.
func TestMigrate(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"v1", "v2", "v3", "v4"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			migrated(t, version)
		})
	}
}

func migrated(t *testing.T, version string) {
	path := copied(t, "journal-"+version+".db")
	request := func(body string) *http.Request {
		req, err := http.NewRequest(http.MethodPost, "https://api.example.com/v1/charges?expand=x", strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return req
	}
	charge := func(id string) idem.Operation {
		return idem.Operation{Name: "charge", Scope: "run-42", ID: id, Cost: 5}
	}
	c := clientkit.NewClient(t, path,
		idem.WithPolicy("charge", idem.Policy{Contract: idem.Natural(), Limit: idem.Limit{Intents: 100, Per: 1e9}}),
		idem.WithPolicy("mail", idem.Policy{}),
		idem.WithTransport(clientkit.Instant{Body: `{"id":"in_2"}`}))

	charges := 0
	states := map[string]idem.State{}
	keys := map[string]string{}
	for in, err := range c.Intents(testkit.Context(t), idem.Filter{}) {
		require.NoError(t, err)
		states[in.Operation().ID], keys[in.Operation().ID] = in.State(), in.Key()
		if in.Operation().Name == "charge" {
			charges++
		}
	}
	want := map[string]idem.State{
		"done": idem.Succeeded, "refused": idem.Failed, "doubt": idem.InDoubt, "begun": idem.Pending, "pending": idem.Pending,
	}
	if version >= "v3" {
		want[""] = idem.Succeeded // without an ID: only its key leads to it
	}
	require.Equal(t, want, states)
	for id, key := range keys {
		in, err := c.Lookup(testkit.Context(t), key)
		require.NoError(t, err)
		require.Equal(t, id, in.Operation().ID)
	}
	for in, err := range c.Intents(testkit.Context(t), idem.Filter{Operation: "charge"}) {
		require.NoError(t, err)
		charges--
		require.Equal(t, in.Key(), keys[in.Operation().ID])
	}
	require.Zero(t, charges)

	resp, err := c.Do(request("amount=500"), charge("done"))
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"in_1"}`, string(body), "the first outcome, not a second one")
	resp, err = c.Do(request("amount=500&refuse=1"), charge("refused"))
	require.NoError(t, err)
	require.Equal(t, http.StatusPaymentRequired, resp.StatusCode)
	_, err = c.Do(request("amount=501"), charge("done"))
	require.ErrorIs(t, err, idem.ErrMismatch)

	report, err := c.Recover(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{Succeeded: 2, InDoubt: 1}, report)
	in, err := c.Lookup(testkit.Context(t), keys["pending"])
	require.NoError(t, err)
	require.Equal(t, idem.Succeeded, in.State())
	require.JSONEq(t, `{"id":"in_2"}`, string(in.Outcome()))

	_, err = c.Do(request("amount=9"), charge("new"))
	require.NoError(t, err)
	_, err = c.Prune(testkit.Context(t))
	require.NoError(t, err)
}

// A journal is brought to a new format as a whole or not at all: after a migration
// that failed half-way it is what it was, and the next Open brings it there.
func TestAMigrationIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	path := copied(t, "journal-v1.db")
	raw := func(statement string) {
		t.Helper()
		db, err := testkit.OpenRaw(path)
		require.NoError(t, err)
		_, err = db.Exec(statement)
		require.NoError(t, err)
		require.NoError(t, db.Close())
	}
	raw("CREATE TABLE late (theirs)") // stands in the way of a later statement
	_, err := idem.Open(path)
	require.ErrorContains(t, err, "late")

	db, err := testkit.OpenRaw(path)
	require.NoError(t, err)
	var version, half int
	require.NoError(t, db.QueryRow("PRAGMA user_version").Scan(&version))
	require.NoError(t, db.QueryRow("SELECT count(*) FROM sqlite_schema WHERE name IN ('guarded', 'aliases')").Scan(&half))
	require.NoError(t, db.Close())
	require.Equal(t, 1, version)
	require.Zero(t, half, "a part of the new format is left")

	raw("DROP TABLE late")
	require.Len(t, clientkit.ReadJournal(t, path), 5)
}
