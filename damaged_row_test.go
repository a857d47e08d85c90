package idem_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
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
			w := newWorld(t)
			c := w.open(idem.WithPolicy("*", stripe()))
			op := idem.Operation{Name: "charge", Scope: "run-1", ID: "order-1"}
			_, err := c.Do(w.invoice(501), op)
			require.NoError(t, err)
			_, err = c.Do(w.invoice(502), idem.Operation{Name: "refund", ID: "another kind"})
			require.NoError(t, err)
			require.NoError(t, c.Close())
			key := readJournal(t, w.path)[0].Key()
			sound := t.TempDir() + "/sound.db"
			copyFile(t, w.path, sound)
			db, err := openRaw(w.path)
			require.NoError(t, err)
			_, err = db.Exec("UPDATE intents SET " + column + " = " + change + " WHERE id = 1")
			require.NoError(t, err)
			require.NoError(t, db.Close())

			c, err = idem.Open(w.path, idem.WithPolicy("*", stripe()))
			require.NoError(t, err)
			_, err = c.Do(w.invoice(501), op)
			require.ErrorContains(t, err, "is damaged")
			_, err = c.Lookup(testCtx(t), key)
			require.ErrorContains(t, err, "is damaged")
			require.NoError(t, c.Close())
			require.Len(t, w.server.Effects(), 2)
			copyFile(t, sound, w.path)
		})
	}
}

// A damaged number in SQLite's own pages, whose order SQLite trusts, is an error too:
// who pages through the journal, or prunes it, comes to an end.
func TestRowsThatAreOutOfOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, err := idem.Open(w.path, idem.WithPolicy("*", stripe()))
	require.NoError(t, err)
	for i := range 4 { // the last one is looked for by Open
		_, err := c.Do(w.invoice(501), idem.Operation{Name: "charge", ID: fmt.Sprint("order-", i)})
		require.NoError(t, err)
	}
	require.NoError(t, c.Close())
	sound := t.TempDir() + "/sound.db"
	copyFile(t, w.path, sound)
	db, err := openRaw(w.path)
	require.NoError(t, err)
	var root, size int
	require.NoError(t, db.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = 'intents'").Scan(&root))
	require.NoError(t, db.QueryRow("PRAGMA page_size").Scan(&size))
	require.NoError(t, db.Close())
	content, err := os.ReadFile(w.path)
	require.NoError(t, err)
	page := content[(root-1)*size:]
	require.EqualValues(t, 0x0d, page[0], "the table is one leaf")
	cell := page[binary.BigEndian.Uint16(page[8+2*2:]):] // the third row
	_, n := binary.Uvarint(cell)                         // as long as SQLite's own
	require.EqualValues(t, 3, cell[n], "its number")
	cell[n] = 1
	require.NoError(t, os.WriteFile(w.path, content, 0o600))

	c, err = idem.Open(w.path, idem.WithPolicy("*", stripe()), idem.WithRetention(time.Nanosecond, time.Nanosecond))
	require.NoError(t, err)
	told := false
	n = 0
	for _, err := range c.Intents(testCtx(t), idem.Filter{}) {
		if n++; err != nil {
			told = true
			require.ErrorContains(t, err, "is damaged")
		}
		require.Less(t, n, 10)
	}
	require.True(t, told)
	_, err = c.Prune(testCtx(t)) // whatever it finds, it ends
	t.Log(err)
	require.NoError(t, c.Close())
	copyFile(t, sound, w.path)
}
