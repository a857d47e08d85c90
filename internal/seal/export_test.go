package seal

import "crypto/cipher"

// SealWith seals one value of a journal for a key and a column.
func SealWith(aead cipher.AEAD, plain []byte, key, column string) ([]byte, error) {
	return sealWith(aead, plain, bound(key, column))
}

// OpenWith is the reverse of SealWith.
func OpenWith(aead cipher.AEAD, sealed []byte, key, column string) ([]byte, error) {
	return openWith(aead, sealed, bound(key, column))
}
