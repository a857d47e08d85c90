package idem

import (
	"net/http"
	"time"
)

// What the tests of payload identity and of retries reach into.

func readFor(req *http.Request, p Policy) (head, []byte, secrets, error) {
	return readRequest(req, readOptions{place: p.Contract.place(), redact: p.Redact, maxPayload: defaultLimit})
}

// FingerprintOf is the fingerprint of a request under a policy.
func FingerprintOf(req *http.Request, p Policy) ([32]byte, error) {
	h, body, _, err := readFor(req, p)
	if err != nil {
		return [32]byte{}, err
	}
	return h.fingerprinted(body, p.Contract.place(), p.Ignore).fingerprint(), nil
}

// DifferenceOf is the first place in which two requests differ.
func DifferenceOf(before, now *http.Request, p Policy) (string, error) {
	a, bodyA, _, err := readFor(before, p)
	if err != nil {
		return "", err
	}
	b, bodyB, _, err := readFor(now, p)
	if err != nil {
		return "", err
	}
	return differ(a.fingerprinted(bodyA, p.Contract.place(), p.Ignore), b.fingerprinted(bodyB, p.Contract.place(), p.Ignore)), nil
}

// CanonicalJSON is canonicalJSON.
func CanonicalJSON(body []byte, omit ...string) ([]byte, bool) { return canonicalJSON(body, omit) }

// Backoff is backoff.
func Backoff(r Retry, made int, asked time.Duration) time.Duration { return backoff(r, made, asked) }

// WithDefaults is Retry.withDefaults.
func (r Retry) WithDefaults() Retry { return r.withDefaults() }

// RetryAfter is retryAfter.
func RetryAfter(h http.Header, now time.Time) time.Duration { return retryAfter(h, now) }

// RetryAfterFactor is how many times MaxBackoff a far side's wish is obeyed up to.
const RetryAfterFactor = retryAfterFactor

// QueuedWrites is how many callers of a client wait for their write.
func QueuedWrites(c *Client) int {
	q := c.journal.(*sqliteJournal).q
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.queue)
}

// PragmaOf is a number that a pragma says on the connection that writes, and on one
// that reads.
func PragmaOf(c *Client, pragma string) (writer, reader int64, err error) {
	s := c.journal.(*sqliteJournal)
	writer, err = s.q.conn.integer("PRAGMA "+pragma, -1)
	if err == nil {
		err = s.read(func(c *conn) (err error) {
			reader, err = c.integer("PRAGMA "+pragma, -1)
			return err
		})
	}
	return writer, reader, err
}
