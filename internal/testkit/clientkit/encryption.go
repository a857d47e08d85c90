package clientkit

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// AEAD is a key for a journal, made of one byte.
func AEAD(t *testing.T, b byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(bytes.Repeat([]byte{b}, 32))
	require.NoError(t, err)
	key, err := cipher.NewGCM(block)
	require.NoError(t, err)
	return key
}

// telling are the texts that an encrypted journal must not hold.
var TellingNote, TellingQuery, TellingBody, TellingReply, TellingError = "the customer said so on the phone",
	"expand=medical.record", "amount=4711&reason=diagnosis", `{"id":"in_1","iban":"DE02120300000000202051"}`, "boiler exploded"

// Tell answers by what is asked: it succeeds, refuses, or loses the connection.
type Tell struct{}

func (Tell) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/lost") {
		return nil, errors.New(TellingError)
	}
	return Instant{TellingReply}.RoundTrip(req)
}

func TellingRequest(t *testing.T, path string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "https://api.example.com/v1"+path+"?"+TellingQuery, strings.NewReader(TellingBody))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}
