//go:build cgo

package sqlite

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"

	"github.com/idem-go/idem/journal"
)

// locator makes keys that lead to their identities, so that the journal needs no
// index of keys beside that of identities: where both are random, each new intent
// costs a page of each once there are a million.
//
// A key is a random UUID to everybody else: 62 of its bits are random, and the other
// 60 are bits of the identity's hash, hidden by a hash of the random ones and of the
// journal's own id, which never leaves the machine.
type locator struct{ secret string }

// NewKey returns a new key for an operation. It implements KeyMaker.
func (l locator) NewKey(op journal.Operation) (string, error) {
	var id uuid.UUID
	if _, err := rand.Read(id[8:]); err != nil {
		return "", fmt.Errorf("no random key could be made: %w", err)
	}
	id[8] = id[8]&0x3f | 0x80 // the variant of RFC 9562
	x := uint64(identityHash(op))>>4 ^ l.mask(id)
	binary.BigEndian.PutUint64(id[:], x>>12<<16|0x4000|x&0xfff) // and its version
	return id.String(), nil
}

// identities are the first and the last of the sixteen hashes that a key may lead
// to. Where it leads nowhere, first is greater than last.
func (l locator) identities(key string) (first, last int64) {
	id, err := uuid.Parse(key)
	if err != nil || len(key) != 36 || id.Version() != 4 {
		return 0, -1
	}
	x := binary.BigEndian.Uint64(id[:])
	x = (x>>16<<12 | x&0xfff) ^ l.mask(id)
	return int64(x << 4), int64(x<<4 | 15)
}

// mask is 60 bits that hide, and find, an identity behind the random half of a key.
func (l locator) mask(id uuid.UUID) uint64 {
	var space [64]byte
	sum := sha256.Sum256(append(append(space[:0], l.secret...), id[8:]...))
	return binary.BigEndian.Uint64(sum[:]) >> 4
}
