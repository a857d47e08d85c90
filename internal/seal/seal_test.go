package seal_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/journal"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// Every encrypted value has a nonce of its own, also if the same value is written many
// times. Two values with one nonce would reveal each other.
func TestEveryNonceIsNew(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	c, err := idem.Open(path, idem.WithEncryption(clientkit.AEAD(t, 1)), idem.WithTransport(clientkit.Tell{}))
	require.NoError(t, err)
	for i := range 10 {
		_, err := c.Do(clientkit.TellingRequest(t, "/charges"), idem.Operation{Name: "charge", ID: fmt.Sprint(i)})
		require.NoError(t, err)
	}
	require.NoError(t, c.Close())
	db, err := testkit.OpenRaw(path)
	require.NoError(t, err)
	nonces := map[string]bool{}
	n := 0
	testkit.Each(t, db, `SELECT substr(head, 1, 12) FROM intents UNION ALL SELECT substr(payload, 1, 12) FROM intents
		UNION ALL SELECT substr(body, 1, 12) FROM outcomes UNION ALL SELECT substr(value, 1, 12) FROM vals WHERE name = 'user sealing'`,
		func(scan func(...any)) {
			var nonce []byte
			scan(&nonce)
			require.Len(t, nonce, 12)
			nonces[string(nonce)] = true
			n++
		})
	require.NoError(t, db.Close())
	require.Equal(t, 31, n)
	require.Len(t, nonces, n, "a nonce was used twice")
	clientkit.CheckJournal(t, path, idem.WithEncryption(clientkit.AEAD(t, 1)))
}

// crossing is a Journal that returns each record with its head as its payload.
type crossing struct {
	idem.Journal
	cross bool
}

func (x *crossing) Get(ctx context.Context, key string) (*journal.Record, error) {
	r, err := x.Journal.Get(ctx, key)
	if err == nil && x.cross {
		r.Payload = r.Head
	}
	return r, err
}

// An encrypted value decrypts only in its own column: a record with a value of another
// column is an error, and nothing is sent.
func TestEncryptionBindsValuesToTheirColumn(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	j, err := idem.OpenJournal(path)
	require.NoError(t, err)
	x := &crossing{Journal: j}
	c, err := idem.New(x, idem.WithEncryption(clientkit.AEAD(t, 1)), idem.WithTransport(clientkit.Tell{}))
	require.NoError(t, err)
	in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "order-1"}, clientkit.TellingRequest(t, "/charges"))
	require.NoError(t, err)
	x.cross = true
	_, err = c.Lookup(testkit.Context(t), in.Key())
	require.ErrorContains(t, err, "changed or moved")
	x.cross = false
	require.NoError(t, c.Close())
	clientkit.CheckJournal(t, path, idem.WithEncryption(clientkit.AEAD(t, 1)))
}

// An encrypted outcome is replayed byte for byte any number of times, also from memory.
func TestASealedOutcomeIsReplayedAnyNumberOfTimes(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	c, err := idem.Open(path, idem.WithEncryption(clientkit.AEAD(t, 1)), idem.WithTransport(clientkit.Tell{}))
	require.NoError(t, err)
	for range 5 {
		resp, err := c.Do(clientkit.TellingRequest(t, "/charges"), idem.Operation{Name: "charge", ID: "order-1"})
		require.NoError(t, err)
		require.Equal(t, clientkit.TellingReply, testkit.BodyOf(t, resp))
	}
	require.NoError(t, c.Close())
	clientkit.CheckJournal(t, path, idem.WithEncryption(clientkit.AEAD(t, 1)))
}
