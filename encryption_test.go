package idem_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// aead is a key for a journal, made of one byte.
func aead(t *testing.T, b byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(bytes.Repeat([]byte{b}, 32))
	require.NoError(t, err)
	key, err := cipher.NewGCM(block)
	require.NoError(t, err)
	return key
}

// telling are the texts that an encrypted journal must not hold.
var tellingNote, tellingQuery, tellingBody, tellingReply, tellingError = "the customer said so on the phone",
	"expand=medical.record", "amount=4711&reason=diagnosis", `{"id":"in_1","iban":"DE02120300000000202051"}`, "boiler exploded"

// tell answers by what is asked: it succeeds, refuses, or loses the connection.
type tell struct{}

func (tell) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/lost") {
		return nil, errors.New(tellingError)
	}
	return instant{tellingReply}.RoundTrip(req)
}

func encrypted(t *testing.T, path string, keys ...cipher.AEAD) (*idem.Client, error) {
	return idem.Open(path, idem.WithEncryption(keys[0], keys[1:]...), idem.WithTransport(tell{}),
		idem.WithPolicy("charge", idem.Policy{Contract: idem.Stripe(), Retry: quick()}),
		idem.WithPolicy("by fields", idem.Policy{Contract: idem.Stripe(), ID: []string{"reason"}}))
}

func tellingRequest(t *testing.T, path string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "https://api.example.com/v1"+path+"?"+tellingQuery, strings.NewReader(tellingBody))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

// With encryption, nothing of a payload, URL, outcome, error or note is on the
// disk: not as text, not in base64 or hex, not as a hash that a guess could be
// checked against. Opened with the key, all of it is there.
func TestEncryptionHidesEverything(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	c, err := encrypted(t, path, aead(t, 1))
	require.NoError(t, err)
	op := idem.Operation{Name: "charge", ID: "order-1"}
	_, err = c.Do(tellingRequest(t, "/charges"), op)
	require.NoError(t, err)
	_, err = c.Do(tellingRequest(t, "/charges"), idem.Operation{Name: "by fields"})
	require.NoError(t, err)
	_, err = c.Do(tellingRequest(t, "/lost"), idem.Operation{Name: "charge", ID: "order-2"})
	var doubt *idem.InDoubtError
	require.ErrorAs(t, err, &doubt)
	require.NoError(t, c.Resolve(testCtx(t), doubt.Key, idem.Resolution{State: idem.InDoubt, Note: tellingNote}))
	plain, err := idem.FingerprintOf(tellingRequest(t, "/charges"), idem.Policy{Contract: idem.Stripe()})
	require.NoError(t, err)

	grep := func() {
		for _, suffix := range []string{"", "-wal", "-shm", ".owners"} {
			data, err := os.ReadFile(path + suffix)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			require.NoError(t, err)
			for _, text := range []string{tellingNote, tellingQuery, tellingBody, tellingReply, tellingError, "diagnosis", "medical", "api.example.com", "DE0212"} {
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
	checkJournal(t, path, idem.WithEncryption(aead(t, 1)))

	c, err = encrypted(t, path, aead(t, 1))
	require.NoError(t, err)
	resp, err := c.Do(tellingRequest(t, "/charges"), op)
	require.NoError(t, err)
	require.Equal(t, tellingReply, bodyOf(t, resp), "the first outcome, byte for byte")
	other := tellingRequest(t, "/charges")
	other.URL.RawQuery = "expand=x"
	_, err = c.Do(other, op)
	require.ErrorIs(t, err, idem.ErrMismatch)
	require.ErrorContains(t, err, "query field")
	in, err := c.Lookup(testCtx(t), doubt.Key)
	require.NoError(t, err)
	require.Equal(t, tellingBody, string(in.Payload()))
	require.Equal(t, "POST api.example.com/v1/lost", in.Target())
	var errs, notes string
	for _, e := range in.History() {
		notes += e.Note
		if e.Err != nil {
			errs += e.Err.Error()
		}
	}
	require.Contains(t, errs, tellingError)
	require.Contains(t, notes, tellingNote)
	require.NoError(t, c.Close())
}

// A journal is opened only with its key, and a rotation leaves every row readable:
// with the new key alone, and never again with the old one alone.
func TestEncryptionKeys(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	c, err := encrypted(t, path, aead(t, 1))
	require.NoError(t, err)
	op := idem.Operation{Name: "charge", ID: "order-1"}
	_, err = c.Do(tellingRequest(t, "/charges"), op)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	before, err := os.ReadFile(path)
	require.NoError(t, err)

	_, err = encrypted(t, path, aead(t, 2))
	require.ErrorContains(t, err, "none of the keys")
	_, err = idem.Open(path)
	require.ErrorContains(t, err, "the journal is encrypted")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(before, after), "a wrong key changes nothing")

	rotated, err := encrypted(t, path, aead(t, 2), aead(t, 1))
	require.NoError(t, err)
	_, err = rotated.Do(tellingRequest(t, "/charges"), op)
	require.NoError(t, err)
	require.NoError(t, rotated.Close())
	_, err = encrypted(t, path, aead(t, 1))
	require.ErrorContains(t, err, "none of the keys")
	again, err := encrypted(t, path, aead(t, 2))
	require.NoError(t, err)
	resp, err := again.Do(tellingRequest(t, "/charges"), op)
	require.NoError(t, err)
	require.Equal(t, tellingReply, bodyOf(t, resp))
	require.NoError(t, again.Close())
	checkJournal(t, path, idem.WithEncryption(aead(t, 2)))

	plain := newPath(t)
	c, err = idem.Open(plain, idem.WithTransport(tell{}))
	require.NoError(t, err)
	_, err = c.Do(tellingRequest(t, "/charges"), op)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	_, err = encrypted(t, plain, aead(t, 1))
	require.ErrorContains(t, err, "begun without encryption")
	checkJournal(t, plain)

	_, err = idem.Open(newPath(t), idem.WithEncryption(nil))
	require.ErrorContains(t, err, "nil")
}

// swapping is a journal that gives one intent's row with another's payload in it.
type swapping struct {
	idem.Journal
	with string // the other's key; empty: as it is
}

func (s *swapping) Get(ctx context.Context, key string) (*idem.Record, error) {
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
	path := newPath(t)
	j, err := idem.OpenJournal(path)
	require.NoError(t, err)
	moved := &swapping{Journal: j}
	c, err := idem.New(moved, idem.WithEncryption(aead(t, 1)), idem.WithTransport(tell{}))
	require.NoError(t, err)
	var keys []string
	for _, id := range []string{"order-1", "order-2"} {
		in, err := c.Begin(testCtx(t), idem.Operation{Name: "charge", ID: id}, tellingRequest(t, "/charges"))
		require.NoError(t, err)
		keys = append(keys, in.Key())
	}
	_, err = c.Lookup(testCtx(t), keys[0])
	require.NoError(t, err)
	moved.with = keys[1]
	_, err = c.Lookup(testCtx(t), keys[0])
	require.ErrorContains(t, err, "changed or moved")
	require.ErrorContains(t, err, keys[0])
	moved.with = ""
	require.NoError(t, c.Close())
	checkJournal(t, path, idem.WithEncryption(aead(t, 1)))
}
