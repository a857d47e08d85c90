//go:build cgo

package sqlite_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// What a power loss in the midst of the very first Open leaves must not keep the
// journal closed for ever. Both are images that the power-loss lab found.

// SQLite makes a new file in one small transaction with a rollback journal. Cut
// there, the file holds anything and the journal says to make it empty again.
func TestOpenAfterPowerLossInFirstTransaction(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	head, err := hex.DecodeString("d9d505f920a163d7" + "00000000" + "9f4ba24d" + "00000000" + "00000200" + "00001000")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte{0xa5}, 3584), 0o600))
	require.NoError(t, os.WriteFile(path+"-journal", append(head, make([]byte, 512-len(head))...), 0o600))
	require.NoError(t, os.WriteFile(path+".owners", nil, 0o600))
	c := clientkit.NewClient(t, path)
	_, err = c.Begin(testkit.Context(t), idem.Operation{Name: "create_invoice", ID: "order-1"}, testkit.NewInvoice(t, "http://127.0.0.1:1", 500))
	require.NoError(t, err)
}

// The lock file's tie to the journal is written and synced last. Cut between the
// two, the file may have its size and none of its bytes.
func TestOpenAfterPowerLossWhileTyingTheLockFile(t *testing.T) {
	t.Parallel()
	for name, left := range map[string][]byte{
		"zeros": make([]byte, 32), "garbage": bytes.Repeat([]byte{0xff, '7'}, 16), "a part": []byte("9f4ba24d"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := testkit.NewPath(t)
			c, err := idem.Open(path)
			require.NoError(t, err)
			require.NoError(t, c.Close())
			require.NoError(t, os.WriteFile(path+".owners", left, 0o600))
			c, err = idem.Open(path)
			require.NoError(t, err)
			require.NoError(t, c.Close())
			id, err := os.ReadFile(path + ".owners")
			require.NoError(t, err)
			require.Len(t, id, 32)
			_, err = hex.DecodeString(string(id))
			require.NoError(t, err, "tied again")
		})
	}
}

// With an intent open, a damaged lock file cannot be told from one that a living
// process holds elsewhere: that is refused, and says what to do.
func TestOpenWithDamagedLockFileAndOpenIntents(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	c, err := idem.Open(path)
	require.NoError(t, err)
	_, err = c.Begin(testkit.Context(t), idem.Operation{Name: "create_invoice", ID: "order-1"}, testkit.NewInvoice(t, "http://127.0.0.1:1", 500))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	id, err := os.ReadFile(path + ".owners")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+".owners", make([]byte, 32), 0o600))
	_, err = idem.Open(path)
	require.ErrorContains(t, err, "gone or damaged, and intents are open")
	require.ErrorContains(t, err, string(id[:32]), "what to write into it")
	require.NoError(t, os.WriteFile(path+".owners", id, 0o600))
	clientkit.NewClient(t, path)
}
