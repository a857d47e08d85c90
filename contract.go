package idem

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/idem-go/idem/internal/codec"
	"github.com/idem-go/idem/journal"
)

// Contract is what the far side promises about idempotency keys: where the key
// goes, how long it is remembered and what the replies mean. It is a value: copy
// one and change a field.
//
// The zero Contract promises nothing. The key is still sent, in the header
// Idempotency-Key, but an attempt that may have had its effect is never sent again.
type Contract struct {
	// Name is journaled with every intent, for people and for Recover.
	Name string

	// Retention is how long the far side honours a key, counted from the first
	// time it saw it. 0: it promises nothing, so at most one attempt may reach it.
	Retention time.Duration

	// Header, Query and Field say where the key goes; at most one is set. None:
	// the header Idempotency-Key. Field is a JSON pointer into the body, such as
	// /idempotency_key; the key is put in without encoding the rest anew.
	Header string
	Query  string
	Field  string

	// Quoted sends the header as a structured-field string, "in quotes".
	Quoted bool

	// FirstSent names a header that carries the time of the first attempt, the
	// same in every attempt. Empty: none.
	FirstSent string

	// MaxKey and MinKey bound the key's length in bytes. 0: 255 and 1.
	MaxKey int
	MinKey int

	// NewKey makes the key of a new intent. nil: a UUIDv4.
	NewKey func() string

	// CheckKey refuses a key the far side would not take, beyond its length. nil:
	// visible ASCII without quotes and backslashes.
	CheckKey func(key string) error

	// Replayed names the reply header, present with the value true, that marks a
	// stored reply. Such a reply was decided after the key was looked up, so it
	// speaks for every attempt of the key. Empty: replies are never marked.
	Replayed string

	// Verdict reads one whole reply. nil, or a Verdict of ReplyUsual: the usual
	// table decides. It may be called from several goroutines at once.
	Verdict func(r *http.Response, body []byte) Verdict
}

// Verdict is what one whole reply proves.
//
// Only ReplyDone settles an intent whatever came before it. ReplyRefused and
// ReplyLater prove that nothing happened only while every earlier attempt is
// known to have done nothing, or where the reply is marked as stored.
type Verdict uint8

const (
	ReplyUsual    Verdict = iota // the usual table decides
	ReplyDone                    // it happened: the first outcome
	ReplyRefused                 // it was refused for good and nothing happened
	ReplyLater                   // nothing happened yet, for a passing reason: try again
	ReplyInFlight                // an attempt with this key is being executed: wait, then ask again
	ReplyMismatch                // the far side knows the key with other bytes
	ReplyUnknown                 // it may have happened
)

// String names the verdict as the journal's history does.
func (v Verdict) String() string {
	names := [...]string{"usual", "done", "refused", "later", "in flight", "mismatch", "unknown"}
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// Stripe is the contract of Stripe's v1 API: 24 hours, the status and body kept
// once execution began, 500s included, and stored replies marked
// Idempotent-Replayed: true. Validation errors and 429 come before the key is
// stored. Source: https://docs.stripe.com/api/idempotent_requests and
// https://docs.stripe.com/error-low-level.
//
// Stripe says that keys may be removed "after they're at least 24 hours old".
func Stripe() Contract {
	return Contract{
		Name:      "stripe",
		Retention: 24 * time.Hour,
		Header:    journal.DefaultKeyHeader,
		MaxKey:    255,
		Replayed:  "Idempotent-Replayed",
		Verdict:   stripeVerdict,
	}
}

func stripeVerdict(r *http.Response, body []byte) Verdict {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
		return ReplyUnknown // Stripe answers in JSON: a proxy or a portal made this page
	}
	if r.StatusCode < 400 {
		return ReplyUsual
	}
	var e struct {
		Error struct{ Type, Code string }
	}
	if !decodeReply(body, &e) {
		return ReplyUsual
	}
	switch {
	case e.Error.Type == "idempotency_error" && e.Error.Code != "idempotency_key_in_use":
		return ReplyMismatch
	case e.Error.Code == "idempotency_key_in_use":
		return ReplyInFlight
	case r.StatusCode == http.StatusTooManyRequests:
		return ReplyLater
	}
	return ReplyUsual
}

// Standard is the contract of a server that keeps the rules of this project's
// own server side: 24 hours, problem documents with a stable code, and an
// Idem-Status header on everything the server itself decided. A refusal without
// that header proves nothing: a proxy may have made it up.
func Standard() Contract {
	return Contract{
		Name:      "standard",
		Retention: 24 * time.Hour,
		Header:    journal.DefaultKeyHeader,
		MaxKey:    255,
		Replayed:  "Idempotent-Replayed",
		Verdict:   standardVerdict,
	}
}

func standardVerdict(r *http.Response, _ []byte) Verdict {
	refusal := r.StatusCode >= 400 && r.StatusCode < 500
	switch r.Header.Get("Idem-Status") {
	case "in-flight":
		return ReplyInFlight
	case "mismatch":
		return ReplyMismatch
	case "uncertain":
		return ReplyUnknown
	case "refused-before-execution":
		switch r.StatusCode {
		case http.StatusUnauthorized, http.StatusForbidden: // no use asking again at once
			return ReplyUsual
		case http.StatusTooEarly, http.StatusTooManyRequests, http.StatusServiceUnavailable:
			return ReplyLater
		}
		if refusal {
			return ReplyRefused
		}
	case "executed", "replayed":
		// The handler ran and this is its answer: a 4xx is a decision, a 5xx leaves
		// open how far it came.
		if refusal {
			return ReplyRefused
		}
	default:
		if refusal {
			return ReplyUnknown
		}
	}
	return ReplyUsual
}

// IETF is the contract of draft-ietf-httpapi-idempotency-key-header-07: the key
// is a structured-field string, another payload is 422, a request still being
// processed is 409. The draft leaves the retention to the server's own
// documentation and none is safe to assume, so it is one hour here: raise
// Retention to what the server documents.
// Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/07/.
func IETF() Contract {
	return Contract{
		Name:      "ietf",
		Retention: time.Hour,
		Header:    journal.DefaultKeyHeader,
		Quoted:    true,
		Verdict: func(r *http.Response, _ []byte) Verdict {
			switch r.StatusCode {
			case http.StatusConflict:
				return ReplyInFlight
			case http.StatusUnprocessableEntity:
				return ReplyMismatch
			}
			return ReplyUsual
		},
	}
}

// Natural is the contract of what may be done again at any time because doing it
// twice is doing it once: a PUT of a whole state, an upsert, a tool whose every
// write is an intent of its own.
func Natural() Contract {
	return Contract{Name: "natural", Retention: always}
}

// keepsKeys tells whether sending the same key again can be safe at all.
func (c Contract) keepsKeys() bool { return c.Retention > 0 }

// place returns where the key goes.
func (c Contract) place() journal.KeyPlace {
	switch {
	case c.Field != "":
		return journal.KeyInField(c.Field)
	case c.Query != "":
		return journal.KeyInQuery(c.Query)
	case c.Header == "":
		return journal.KeyInHeader(journal.DefaultKeyHeader)
	}
	return journal.KeyInHeader(http.CanonicalHeaderKey(c.Header))
}

// validate refuses a contract that contradicts itself, when a client is opened.
func (c Contract) validate() error {
	places := 0
	for _, p := range []string{c.Header, c.Query, c.Field} {
		if p != "" {
			places++
		}
	}
	for _, name := range []string{c.Header, c.FirstSent, c.Replayed} {
		if name != "" && !codec.IsToken(name) {
			return fmt.Errorf("contract %q: no header is called %q: letters, digits and dashes are needed", c.Name, name)
		}
	}
	switch {
	case places > 1:
		return fmt.Errorf("contract %q puts the key in more than one place: set one of Header, Query and Field", c.Name)
	case c.Field != "" && c.Field[0] != '/':
		return fmt.Errorf("contract %q: Field %q is not a JSON pointer: it begins with /", c.Name, c.Field)
	case c.FirstSent != "" && c.place().Header() == http.CanonicalHeaderKey(c.FirstSent):
		return fmt.Errorf("contract %q: FirstSent names the header that the key goes into: name another", c.Name)
	case c.Quoted && (c.Query != "" || c.Field != ""):
		return fmt.Errorf("contract %q: Quoted is for a key in a header", c.Name)
	case c.Retention < 0:
		return fmt.Errorf("contract %q: Retention %v is negative", c.Name, c.Retention)
	case c.MaxKey < 0 || c.MinKey < 0 || (c.MaxKey > 0 && c.MinKey > c.MaxKey):
		return fmt.Errorf("contract %q: no key is at least %d and at most %d bytes long", c.Name, c.MinKey, c.MaxKey)
	}
	return nil
}

// randomKey is the usual key of a new intent.
func randomKey(Operation) (string, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return "", fmt.Errorf("no random key could be made: %w", err)
	}
	return id.String(), nil
}

// newKey makes and checks the key of a new intent.
func (c Contract) newKey(op Operation, usual func(Operation) (string, error)) (key string, err error) {
	if c.NewKey != nil {
		key = c.NewKey()
	} else if key, err = usual(op); err != nil {
		return "", err
	}
	longest, shortest := c.MaxKey, max(c.MinKey, 1)
	if longest == 0 {
		longest = 255
	}
	if len(key) > longest || len(key) < shortest {
		return "", fmt.Errorf("the key %q has %d bytes, contract %q takes %d to %d: set Contract.NewKey",
			key, len(key), c.Name, shortest, longest)
	}
	check := c.CheckKey
	if check == nil {
		check = visibleKey
	}
	err = check(key)
	if i := codec.ControlIn(key); err == nil && i >= 0 {
		err = fmt.Errorf("byte %d is a control character", i)
	}
	if err != nil {
		return "", fmt.Errorf("the key %q does not fit contract %q: %w: set Contract.NewKey", key, c.Name, err)
	}
	return key, nil
}

func visibleKey(key string) error {
	for i := range len(key) {
		if b := key[i]; b <= ' ' || b > '~' || b == '"' || b == '\\' {
			return fmt.Errorf("byte %d is not visible ASCII, or is a quote or backslash", i)
		}
	}
	return nil
}

// verdict asks the contract, then the usual table. The reply's body can be read
// by the contract's function as often as it likes.
func (c Contract) verdict(r *http.Response, body []byte) Verdict {
	if c.Verdict == nil {
		return ReplyUsual
	}
	seen := &struct { // in one piece
		reply http.Response
		body  bytes.Reader
	}{reply: *r}
	seen.body.Reset(body)
	seen.reply.Body = io.NopCloser(&seen.body)
	return c.Verdict(&seen.reply, body)
}

// decodeReply reads what a contract looks for in a reply; false: it is not that.
func decodeReply(body []byte, into any) bool {
	return json.Unmarshal(body, into, json.MatchCaseInsensitiveNames(true)) == nil
}
