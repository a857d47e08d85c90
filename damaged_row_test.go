package idem_test

import (
	"testing"

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
