package journaltest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/idem-go/idem/journal"
)

// minute returns the journal time at which things happen in a check: n minutes after
// the intents were created. A Journal has no clock of its own.
func minute(n int) time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC).Add(time.Duration(n) * time.Minute)
}

// newRecord returns the record of a new intent, with every field set. Two records of
// the same ID have the same payload and fingerprint.
func newRecord(key, id string) *journal.Record {
	payload := []byte("amount=500\x00\xff&id=" + id)
	return &journal.Record{
		Key:         key,
		Operation:   journal.Operation{Name: "charge", Scope: "run \x00 1", ID: id, Cost: 7},
		Fingerprint: sha256.Sum256(payload), FingerprintVersion: 3,
		Head: []byte("POST /v1/charges\x00"), Payload: payload,
		Terms: journal.Terms{
			Contract: "stripe", Retention: 24 * time.Hour, KeyPlace: "header Idempotency-Key",
			Quoted: true, FirstSent: "X-First", Version: "v2", Account: "acct_1",
		},
		CreatedAt: minute(0),
	}
}

// newChange returns a change, with every field set. It happens version minutes after
// the intent was created.
func newChange(key string, version int, kind journal.ChangeKind, state journal.State) *journal.Change {
	c := &journal.Change{
		Key: key, Kind: kind, At: minute(version), Reason: "http 200", Note: "said so \x00\xff",
		Summary: journal.Summary{
			Version: version, State: state, Attempts: version, MayHaveExecuted: state == journal.InDoubt,
			FirstSent: minute(1), WindowStart: minute(0), Takeovers: 1,
		},
		NewAttempts: []journal.Attempt{{
			Number: version, At: minute(version), Took: time.Second, Status: 200, Reason: "http 200", Err: "a \"quoted\"\nline \x00\xff",
		}},
	}
	switch state {
	case journal.Failed:
		c.Failure = journal.FailedTransient
	case journal.Succeeded:
		c.Reply = newReply(key)
	}
	return c
}

// newReply returns an outcome whose body contains key and bytes that are no text.
func newReply(key string) *journal.Reply {
	body := []byte(`{"key":"` + key + "\",\"n\":\"\x00\"}")
	return &journal.Reply{
		Status: 200, Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {"application/json"}, "X-Two": {"a", "b"}},
		Body: body, Size: int64(len(body)),
	}
}

// sameCreation compares the fields that never change after Begin.
func sameCreation(got, want *journal.Record) error {
	for _, field := range []struct {
		name      string
		got, want any
	}{
		{"Key", got.Key, want.Key}, {"Operation", got.Operation, want.Operation}, {"Previous", got.Previous, want.Previous},
		{"Fingerprint", got.Fingerprint, want.Fingerprint}, {"FingerprintVersion", got.FingerprintVersion, want.FingerprintVersion},
		{"Head", string(got.Head), string(want.Head)}, {"Payload", string(got.Payload), string(want.Payload)},
		{"Terms", got.Terms, want.Terms}, {"CreatedAt", got.CreatedAt.UnixNano(), want.CreatedAt.UnixNano()},
	} {
		if !reflect.DeepEqual(field.got, field.want) {
			return fmt.Errorf("%s of %s is %v, want %v", field.name, want.Key, field.got, field.want)
		}
	}
	return nil
}

// sameChange compares all fields of a change but its reply.
func sameChange(got, want *journal.Change) error {
	if got.At.UnixNano() != want.At.UnixNano() || got.Kind != want.Kind || got.Reason != want.Reason || got.Note != want.Note {
		return fmt.Errorf("kind %d at %v (%s: %s), want kind %d at %v (%s: %s)",
			got.Kind, got.At, got.Reason, got.Note, want.Kind, want.At, want.Reason, want.Note)
	}
	g, w := got.Summary, want.Summary
	if !g.FirstSent.Equal(w.FirstSent) || !g.WindowStart.Equal(w.WindowStart) {
		return fmt.Errorf("FirstSent %v and WindowStart %v, want %v and %v", g.FirstSent, g.WindowStart, w.FirstSent, w.WindowStart)
	}
	g.FirstSent, g.WindowStart = w.FirstSent, w.WindowStart
	if g != w {
		return fmt.Errorf("the summary is %+v, want %+v", g, w)
	}
	if len(got.NewAttempts) != len(want.NewAttempts) {
		return fmt.Errorf("%d attempts, want %d", len(got.NewAttempts), len(want.NewAttempts))
	}
	for i, attempt := range got.NewAttempts {
		other := want.NewAttempts[i]
		if !attempt.At.Equal(other.At) {
			return fmt.Errorf("attempt %d is at %v, want %v", i+1, attempt.At, other.At)
		}
		if attempt.At = other.At; attempt != other {
			return fmt.Errorf("attempt %d is %+v, want %+v", i+1, attempt, other)
		}
	}
	return nil
}

// sameReply compares outcomes byte for byte. No header equals an empty one.
func sameReply(got, want *journal.Reply) error {
	switch {
	case got == nil:
		return fmt.Errorf("the outcome is missing")
	case got.Status != want.Status || got.Proto != want.Proto || got.Size != want.Size || got.Hash != want.Hash:
		return fmt.Errorf("the outcome is %d %s of %d bytes (hash %x), want %d %s of %d bytes (hash %x)",
			got.Status, got.Proto, got.Size, got.Hash, want.Status, want.Proto, want.Size, want.Hash)
	case !bytes.Equal(got.Body, want.Body):
		return fmt.Errorf("the outcome's body is %q, want %q", got.Body, want.Body)
	case len(got.Header)+len(want.Header) > 0 && !reflect.DeepEqual(got.Header, want.Header):
		return fmt.Errorf("the outcome's header is %v, want %v", got.Header, want.Header)
	}
	return nil
}
