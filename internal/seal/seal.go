// Package seal encrypts what a client stores in a Journal. It wraps a Journal in
// another one, which encrypts each payload, request head, outcome, note and error text
// before it writes, and decrypts them after it reads. Operation names, scopes, IDs,
// keys, states, times, reasons and statuses stay readable.
package seal

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/idem-go/idem/internal/codec"
	"github.com/idem-go/idem/internal/fingerprint"
	"github.com/idem-go/idem/journal"
)

// sealed is a Journal that encrypts what it writes to another one and decrypts what it
// reads from it.
type sealed struct {
	journal.Journal             // holds what is encrypted
	data            cipher.AEAD // has the journal's data key
}

const (
	sealingValue = "sealing" // name of the value that holds the encrypted secret
	keyBytes     = 32        // length of the data key, and of the fingerprints' key
)

// Wrap returns a Journal that encrypts what it stores in j, and the HMAC key of j's
// fingerprints. It reads j's data key, which is stored in j encrypted with a key of
// keys, or makes one if j is empty. If that is not the first key, Wrap encrypts the
// data key with the first one and stores it again.
//
// Without keys, Wrap returns j itself and a nil HMAC key. Wrap fails if j is encrypted
// and no key decrypts it, or if keys are given and j holds intents that are not
// encrypted.
func Wrap(j journal.Journal, keys []cipher.AEAD) (journal.Journal, []byte, error) {
	ctx := context.Background()
	wrapped, err := j.Value(ctx, sealingValue, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("idem: opening the journal: is it encrypted? %w", err)
	}
	switch {
	case len(keys) == 0 && wrapped == nil:
		return j, nil, nil
	case len(keys) == 0:
		return nil, nil, errors.New("idem: the journal is encrypted: open it with WithEncryption and its key")
	case wrapped == nil:
		page, _, err := j.Page(ctx, journal.Filter{}, "", 1)
		if err != nil {
			return nil, nil, err
		}
		if len(page) > 0 {
			return nil, nil, errors.New("idem: the journal was begun without encryption, and what it holds stays readable: use a new journal for WithEncryption, or open this one without")
		}
	}
	var secret []byte
	_, err = j.Value(ctx, sealingValue, func(old []byte) ([]byte, error) {
		if old == nil {
			secret = make([]byte, 2*keyBytes)
			if _, err := rand.Read(secret); err != nil {
				return nil, err
			}
			return sealWith(keys[0], secret, []byte(sealingValue))
		}
		for i, key := range keys {
			var err error
			if secret, err = openWith(key, old, []byte(sealingValue)); err != nil {
				continue
			}
			if i == 0 {
				return old, nil
			}
			return sealWith(keys[0], secret, []byte(sealingValue)) // rotation: the data key stays the same
		}
		return nil, errWrongKey
	})
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(secret[:keyBytes])
	if err != nil {
		return nil, nil, err
	}
	data, err := cipher.NewGCM(block)
	if err != nil {
		return nil, nil, err
	}
	return &sealed{Journal: j, data: data}, secret[keyBytes:], nil
}

// errWrongKey is the error of Wrap if no key decrypts the data key.
var errWrongKey = errors.New("idem: none of the keys given to WithEncryption opens this journal: it was sealed with another one; nothing was changed")

// sealWith encrypts plain with key and a random nonce, which it puts before the
// ciphertext. openWith needs the same additional data in bound.
func sealWith(key cipher.AEAD, plain, bound []byte) ([]byte, error) {
	nonce := make([]byte, key.NonceSize(), key.NonceSize()+len(plain)+key.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return key.Seal(nonce, nonce, plain, bound), nil
}

// openWith decrypts what sealWith returned for the same bound.
func openWith(key cipher.AEAD, sealed, bound []byte) ([]byte, error) {
	n := key.NonceSize()
	if len(sealed) < n {
		return nil, errors.New("too short")
	}
	return key.Open(nil, sealed[:n], sealed[n:], bound)
}

// bound returns the additional data of a value: the intent's key and the column. A
// value that is moved to another intent or column does not decrypt.
func bound(key, column string) []byte { return fingerprint.AppendParts(nil, key, column) }

// seal encrypts plain for a column of the intent with this key. nil stays nil.
func (s *sealed) seal(plain []byte, key, column string) ([]byte, error) {
	if plain == nil {
		return nil, nil
	}
	return sealWith(s.data, plain, bound(key, column))
}

// open decrypts what seal returned for the same key and column.
func (s *sealed) open(value []byte, key, column string) ([]byte, error) {
	if value == nil {
		return nil, nil
	}
	plain, err := openWith(s.data, value, bound(key, column))
	if err != nil {
		return nil, fmt.Errorf("the journal's %s of key %s does not open under its key: the row was changed or moved", column, key)
	}
	return plain, nil
}

// sealText replaces *plain by its encrypted bytes. An empty text stays empty.
func (s *sealed) sealText(plain *string, key, column string) error {
	if *plain == "" {
		return nil
	}
	value, err := s.seal([]byte(*plain), key, column)
	*plain = string(value)
	return err
}

// openText replaces *value, which sealText made, by its plain text.
func (s *sealed) openText(value *string, key, column string) error {
	if *value == "" {
		return nil
	}
	plain, err := s.open([]byte(*value), key, column)
	*value = string(plain)
	return err
}

// Begin implements Journal.
func (s *sealed) Begin(ctx context.Context, r *journal.Record, g journal.Checks) (journal.Conflict, *journal.Record, error) {
	hidden := *r
	var err error
	if hidden.Head, err = s.seal(r.Head, r.Key, "head"); err != nil {
		return journal.NoConflict, nil, err
	}
	if hidden.Payload, err = s.seal(r.Payload, r.Key, "payload"); err != nil {
		return journal.NoConflict, nil, err
	}
	obstacle, standing, err := s.Journal.Begin(ctx, &hidden, g)
	if err != nil || standing == nil {
		return obstacle, nil, err
	}
	return obstacle, standing, s.openRecord(standing)
}

// Change implements Journal.
func (s *sealed) Change(ctx context.Context, change *journal.Change) (journal.Conflict, *journal.Record, error) {
	hidden := *change
	err := s.sealText(&hidden.Note, change.Key, "note")
	hidden.NewAttempts = slices.Clone(change.NewAttempts)
	for i := range hidden.NewAttempts {
		err = errors.Join(err, s.sealText(&hidden.NewAttempts[i].Err, change.Key, "error"))
	}
	if reply := change.Reply; reply != nil && err == nil {
		hidden.Reply, err = s.sealReply(reply, change.Key)
	}
	if err != nil {
		return journal.NoConflict, nil, err
	}
	conflict, standing, err := s.Journal.Change(ctx, &hidden)
	if err != nil || standing == nil {
		return conflict, nil, err
	}
	return conflict, standing, s.openRecord(standing)
}

// sealReply returns a reply that holds the headers and the body of r in its encrypted
// body. Only the status stays readable.
func (s *sealed) sealReply(r *journal.Reply, key string) (*journal.Reply, error) {
	head := codec.EncodeReplyHead(r)
	plain := codec.AppendPart(nil, head)
	if r.Body != nil {
		plain = append(append(plain, 1), r.Body...)
	} else {
		plain = append(plain, 0)
	}
	body, err := s.seal(plain, key, "outcome")
	return &journal.Reply{Status: r.Status, Proto: "sealed", Body: body, Size: int64(len(body))}, err
}

// openReply returns the reply that sealReply encrypted.
func (s *sealed) openReply(r *journal.Reply, key string) (*journal.Reply, error) {
	plain, err := s.open(r.Body, key, "outcome")
	if err != nil {
		return nil, err
	}
	head, rest, ok := codec.CutPart(plain)
	if !ok || len(rest) == 0 {
		return nil, fmt.Errorf("the journal's outcome of key %s cannot be read", key)
	}
	var body []byte
	if rest[0] == 1 {
		body = bytes.Clone(rest[1:])
		if body == nil {
			body = []byte{}
		}
	}
	return codec.DecodeReply(int64(r.Status), head, body)
}

// openRecord decrypts r in place, since a Journal returns records that belong to the
// caller. Prune drops what was encrypted, and openRecord clears what a store kept of
// it.
func (s *sealed) openRecord(r *journal.Record) (err error) {
	if !r.PrunedAt.IsZero() {
		r.Audit = nil
		for i := range r.Changes {
			r.Changes[i].Note, r.Changes[i].NewAttempts = "", nil
		}
		return nil
	}
	if r.Head, err = s.open(r.Head, r.Key, "head"); err != nil {
		return err
	}
	if r.Payload, err = s.open(r.Payload, r.Key, "payload"); err != nil {
		return err
	}
	for i := range r.Changes {
		change := &r.Changes[i]
		err = s.openText(&change.Note, r.Key, "note")
		for t := range change.NewAttempts {
			err = errors.Join(err, s.openText(&change.NewAttempts[t].Err, r.Key, "error"))
		}
		if change.Reply != nil && err == nil {
			change.Reply, err = s.openReply(change.Reply, r.Key)
		}
		if err != nil {
			return err
		}
	}
	for i := range r.Audit {
		if err := s.openText(&r.Audit[i].Text, r.Key, "audit"); err != nil {
			return err
		}
	}
	return nil
}

// Get implements Journal.
func (s *sealed) Get(ctx context.Context, key string) (*journal.Record, error) {
	r, err := s.Journal.Get(ctx, key)
	if err != nil || r == nil {
		return nil, err
	}
	return r, s.openRecord(r)
}

// Page implements Journal.
func (s *sealed) Page(ctx context.Context, f journal.Filter, after string, limit int) ([]*journal.Record, string, error) {
	page, next, err := s.Journal.Page(ctx, f, after, limit)
	for _, r := range page {
		err = errors.Join(err, s.openRecord(r))
	}
	return page, next, err
}

// Audit implements Journal.
func (s *sealed) Audit(ctx context.Context, n journal.AuditEntry) error {
	if err := s.sealText(&n.Text, n.Key, "audit"); err != nil {
		return err
	}
	return s.Journal.Audit(ctx, n)
}
