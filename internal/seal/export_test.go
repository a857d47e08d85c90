package seal

import "crypto/cipher"

// SealWith encrypts one value for a column of the intent with this key.
func SealWith(aead cipher.AEAD, plain []byte, key, column string) ([]byte, error) {
	return sealWith(aead, plain, bound(key, column))
}

// OpenWith decrypts what SealWith returned for the same key and column.
func OpenWith(aead cipher.AEAD, sealed []byte, key, column string) ([]byte, error) {
	return openWith(aead, sealed, bound(key, column))
}
