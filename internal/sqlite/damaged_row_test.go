//go:build cgo

package sqlite_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// A row that the disk changed so that it is no longer the one that is looked for is
// not taken for another's: the identity would be begun anew, and its effect happen
// twice.
func TestDamagedRowIsNotAnothers(t *testing.T) {
	t.Parallel()
	for column, change := range map[string]string{
		"name": "name || 'x'", "scope": "'x'", "kind": "(SELECT max(id) FROM kinds)", "key": "key || 'x'",
	} {
		t.Run(column, func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			c := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
			op := idem.Operation{Name: "charge", Scope: "run-1", ID: "order-1"}
			_, err := c.Do(w.Invoice(501), op)
			require.NoError(t, err)
			_, err = c.Do(w.Invoice(502), idem.Operation{Name: "refund", ID: "another kind"})
			require.NoError(t, err)
			require.NoError(t, c.Close())
			key := clientkit.ReadJournal(t, w.Path)[0].Key()
			sound := t.TempDir() + "/sound.db"
			copyFile(t, w.Path, sound)
			db, err := testkit.OpenRaw(w.Path)
			require.NoError(t, err)
			_, err = db.Exec("UPDATE intents SET " + column + " = " + change + " WHERE id = 1")
			require.NoError(t, err)
			require.NoError(t, db.Close())

			c, err = idem.Open(w.Path, idem.WithPolicy("*", clientkit.Stripe()))
			require.NoError(t, err)
			_, err = c.Do(w.Invoice(501), op)
			require.ErrorContains(t, err, "is damaged")
			_, err = c.Lookup(testkit.Context(t), key)
			require.ErrorContains(t, err, "is damaged")
			require.NoError(t, c.Close())
			require.Len(t, w.Server.Effects(), 2)
			copyFile(t, sound, w.Path)
		})
	}
}

// A damaged number in SQLite's own pages, whose order SQLite trusts, is an error too:
// who pages through the journal, or prunes it, comes to an end.
func TestRowsThatAreOutOfOrder(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c, err := idem.Open(w.Path, idem.WithPolicy("*", clientkit.Stripe()))
	require.NoError(t, err)
	for i := range 4 { // the last one is looked for by Open
		_, err := c.Do(w.Invoice(501), idem.Operation{Name: "charge", ID: fmt.Sprint("order-", i)})
		require.NoError(t, err)
	}
	require.NoError(t, c.Close())
	sound := t.TempDir() + "/sound.db"
	copyFile(t, w.Path, sound)
	db, err := testkit.OpenRaw(w.Path)
	require.NoError(t, err)
	var root, size int
	require.NoError(t, db.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = 'intents'").Scan(&root))
	require.NoError(t, db.QueryRow("PRAGMA page_size").Scan(&size))
	require.NoError(t, db.Close())
	content, err := os.ReadFile(w.Path)
	require.NoError(t, err)
	page := content[(root-1)*size:]
	require.EqualValues(t, 0x0d, page[0], "the table is one leaf")
	cell := page[binary.BigEndian.Uint16(page[8+2*2:]):] // the third row
	_, n := binary.Uvarint(cell)                         // as long as SQLite's own
	require.EqualValues(t, 3, cell[n], "its number")
	cell[n] = 1
	require.NoError(t, os.WriteFile(w.Path, content, 0o600))

	c, err = idem.Open(w.Path, idem.WithRetention(time.Nanosecond, time.Nanosecond))
	require.NoError(t, err)
	told := false
	n = 0
	for _, err := range c.Intents(testkit.Context(t), idem.Filter{}) {
		if n++; err != nil {
			told = true
			require.ErrorContains(t, err, "is damaged")
		}
		require.Less(t, n, 10)
	}
	require.True(t, told)
	_, err = c.Prune(testkit.Context(t)) // whatever it finds, it ends
	t.Log(err)
	require.NoError(t, c.Close())
	copyFile(t, sound, w.Path)
}
