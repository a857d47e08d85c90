package idem_test

import (
	"testing"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// A journal is brought to a new format as a whole or not at all: after a migration
// that failed half-way it is what it was, and the next Open brings it there.
func TestAMigrationIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	path := copied(t, "journal-v1.db")
	raw := func(statement string) {
		t.Helper()
		db, err := openRaw(path)
		require.NoError(t, err)
		_, err = db.Exec(statement)
		require.NoError(t, err)
		require.NoError(t, db.Close())
	}
	raw("CREATE TABLE late (theirs)") // stands in the way of a later statement
	_, err := idem.Open(path)
	require.ErrorContains(t, err, "late")

	db, err := openRaw(path)
	require.NoError(t, err)
	var version, half int
	require.NoError(t, db.QueryRow("PRAGMA user_version").Scan(&version))
	require.NoError(t, db.QueryRow("SELECT count(*) FROM sqlite_schema WHERE name IN ('guarded', 'aliases')").Scan(&half))
	require.NoError(t, db.Close())
	require.Equal(t, 1, version)
	require.Zero(t, half, "a part of the new format is left")

	raw("DROP TABLE late")
	require.Len(t, readJournal(t, path), 5)
}
