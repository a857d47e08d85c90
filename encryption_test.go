package idem_test

import (
	"bytes"
	"context"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
	"github.com/idem-go/idem/journal"
)

func encrypted(t *testing.T, path string, keys ...cipher.AEAD) (*idem.Client, error) {
	return idem.Open(path, idem.WithEncryption(keys[0], keys[1:]...), idem.WithTransport(clientkit.Tell{}),
		idem.WithPolicy("charge", idem.Policy{Contract: idem.Stripe(), Retry: clientkit.Quick()}),
		idem.WithPolicy("by fields", idem.Policy{Contract: idem.Stripe(), ID: []string{"reason"}}))
}

// With encryption, nothing of a payload, URL, outcome, error or note is on the
// disk: not as text, not in base64 or hex, not as a hash that a guess could be
// checked against. Opened with the key, all of it is there.
func TestEncryptionHidesEverything(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	c, err := encrypted(t, path, clientkit.AEAD(t, 1))
	require.NoError(t, err)
	op := idem.Operation{Name: "charge", ID: "order-1"}
	_, err = c.Do(clientkit.TellingRequest(t, "/charges"), op)
	require.NoError(t, err)
	_, err = c.Do(clientkit.TellingRequest(t, "/charges"), idem.Operation{Name: "by fields"})
	require.NoError(t, err)
	_, err = c.Do(clientkit.TellingRequest(t, "/lost"), idem.Operation{Name: "charge", ID: "order-2"})
	var doubt *idem.InDoubtError
	require.ErrorAs(t, err, &doubt)
	require.NoError(t, c.Resolve(testkit.Context(t), doubt.Key, idem.Resolution{State: idem.InDoubt, Note: clientkit.TellingNote}))
	payload, err := testkit.Payload(clientkit.TellingRequest(t, "/charges"))
	require.NoError(t, err)
	plain := payload.Fingerprint()

	grep := func() {
		for _, suffix := range []string{"", "-wal", "-shm", ".owners"} {
			data, err := os.ReadFile(path + suffix)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			require.NoError(t, err)
			for _, text := range []string{clientkit.TellingNote, clientkit.TellingQuery, clientkit.TellingBody, clientkit.TellingReply, clientkit.TellingError, "diagnosis", "medical", "api.example.com", "DE0212"} {
				require.NotContains(t, string(data), text, "in %s", path+suffix)
				require.NotContains(t, string(data), base64.StdEncoding.EncodeToString([]byte(text))[:8], "in %s", path+suffix)
				require.NotContains(t, string(data), hex.EncodeToString([]byte(text)), "in %s", path+suffix)
			}
			require.NotContains(t, string(data), string(plain[:]), "a fingerprint that a guess can be checked against")
		}
	}
	grep()
	require.NoError(t, c.Close())
	grep()
	clientkit.CheckJournal(t, path, idem.WithEncryption(clientkit.AEAD(t, 1)))

	c, err = encrypted(t, path, clientkit.AEAD(t, 1))
	require.NoError(t, err)
	resp, err := c.Do(clientkit.TellingRequest(t, "/charges"), op)
	require.NoError(t, err)
	require.Equal(t, clientkit.TellingReply, testkit.BodyOf(t, resp), "the first outcome, byte for byte")
	other := clientkit.TellingRequest(t, "/charges")
	other.URL.RawQuery = "expand=x"
	_, err = c.Do(other, op)
	require.ErrorIs(t, err, idem.ErrMismatch)
	require.ErrorContains(t, err, "query field")
	in, err := c.Lookup(testkit.Context(t), doubt.Key)
	require.NoError(t, err)
	require.Equal(t, clientkit.TellingBody, string(in.Payload()))
	require.Equal(t, "POST api.example.com/v1/lost", in.Target())
	var errs, notes string
	for _, e := range in.History() {
		notes += e.Note
		if e.Err != nil {
			errs += e.Err.Error()
		}
	}
	require.Contains(t, errs, clientkit.TellingError)
	require.Contains(t, notes, clientkit.TellingNote)
	require.NoError(t, c.Close())
}

// A journal is opened only with its key, and a rotation leaves every row readable:
// with the new key alone, and never again with the old one alone.
func TestEncryptionKeys(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	c, err := encrypted(t, path, clientkit.AEAD(t, 1))
	require.NoError(t, err)
	op := idem.Operation{Name: "charge", ID: "order-1"}
	_, err = c.Do(clientkit.TellingRequest(t, "/charges"), op)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	before, err := os.ReadFile(path)
	require.NoError(t, err)

	_, err = encrypted(t, path, clientkit.AEAD(t, 2))
	require.ErrorContains(t, err, "none of the keys")
	_, err = idem.Open(path)
	require.ErrorContains(t, err, "the journal is encrypted")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(before, after), "a wrong key changes nothing")

	rotated, err := encrypted(t, path, clientkit.AEAD(t, 2), clientkit.AEAD(t, 1))
	require.NoError(t, err)
	_, err = rotated.Do(clientkit.TellingRequest(t, "/charges"), op)
	require.NoError(t, err)
	require.NoError(t, rotated.Close())
	_, err = encrypted(t, path, clientkit.AEAD(t, 1))
	require.ErrorContains(t, err, "none of the keys")
	again, err := encrypted(t, path, clientkit.AEAD(t, 2))
	require.NoError(t, err)
	resp, err := again.Do(clientkit.TellingRequest(t, "/charges"), op)
	require.NoError(t, err)
	require.Equal(t, clientkit.TellingReply, testkit.BodyOf(t, resp))
	require.NoError(t, again.Close())
	clientkit.CheckJournal(t, path, idem.WithEncryption(clientkit.AEAD(t, 2)))

	plain := testkit.NewPath(t)
	c, err = idem.Open(plain, idem.WithTransport(clientkit.Tell{}))
	require.NoError(t, err)
	_, err = c.Do(clientkit.TellingRequest(t, "/charges"), op)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	_, err = encrypted(t, plain, clientkit.AEAD(t, 1))
	require.ErrorContains(t, err, "begun without encryption")
	clientkit.CheckJournal(t, plain)

	_, err = idem.Open(testkit.NewPath(t), idem.WithEncryption(nil))
	require.ErrorContains(t, err, "nil")
}

// swapping is a journal that gives one intent's row with another's payload in it.
type swapping struct {
	idem.Journal
	with string // the other's key; empty: as it is
}

func (s *swapping) Get(ctx context.Context, key string) (*journal.Record, error) {
	r, err := s.Journal.Get(ctx, key)
	if err != nil || s.with == "" {
		return r, err
	}
	other, err := s.Journal.Get(ctx, s.with)
	if err == nil {
		r.Payload = other.Payload
	}
	return r, err
}

// A sealed value opens only in its own row and column: one that was moved to
// another intent is an error, not another intent's payload.
func TestEncryptionBindsValuesToTheirPlace(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	j, err := idem.OpenJournal(path)
	require.NoError(t, err)
	moved := &swapping{Journal: j}
	c, err := idem.New(moved, idem.WithEncryption(clientkit.AEAD(t, 1)), idem.WithTransport(clientkit.Tell{}))
	require.NoError(t, err)
	var keys []string
	for _, id := range []string{"order-1", "order-2"} {
		in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: id}, clientkit.TellingRequest(t, "/charges"))
		require.NoError(t, err)
		keys = append(keys, in.Key())
	}
	_, err = c.Lookup(testkit.Context(t), keys[0])
	require.NoError(t, err)
	moved.with = keys[1]
	_, err = c.Lookup(testkit.Context(t), keys[0])
	require.ErrorContains(t, err, "changed or moved")
	require.ErrorContains(t, err, keys[0])
	moved.with = ""
	require.NoError(t, c.Close())
	clientkit.CheckJournal(t, path, idem.WithEncryption(clientkit.AEAD(t, 1)))
}
