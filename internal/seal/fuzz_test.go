package seal_test

import (
	"crypto/aes"
	"crypto/cipher"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/seal"
)

// An encrypted value decrypts to the same value with its key, for its intent and column,
// and with nothing else.
func FuzzSeal(f *testing.F) {
	f.Add([]byte("amount=500"), "key", "payload", uint16(3), []byte("short"))
	f.Add([]byte{}, "", "", uint16(0), []byte(nil))
	block, err := aes.NewCipher(make([]byte, 32))
	require.NoError(f, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, plain []byte, key, column string, at uint16, stranger []byte) {
		sealed, err := seal.SealWith(aead, plain, key, column)
		require.NoError(t, err)
		opened, err := seal.OpenWith(aead, sealed, key, column)
		require.NoError(t, err)
		require.Equal(t, string(plain), string(opened))
		for _, place := range [][2]string{{key + "x", column}, {key, column + "x"}, {key + column, ""}} {
			if place != [2]string{key, column} {
				_, err = seal.OpenWith(aead, sealed, place[0], place[1])
				require.Error(t, err, "it opened as the %q of %q", place[1], place[0])
			}
		}
		sealed[int(at)%len(sealed)] ^= 1 << (at % 8)
		_, err = seal.OpenWith(aead, sealed, key, column)
		require.Error(t, err, "it opened although it was changed")
		_, err = seal.OpenWith(aead, stranger, key, column)
		require.Error(t, err)
	})
}
