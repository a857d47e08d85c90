package wire

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/idem-go/idem/internal/codec"
	"github.com/idem-go/idem/journal"
)

// Secrets holds the parts of a request that are neither recorded nor logged. The zero
// value has none. It is kept in memory for the attempts of the caller's own call; for
// recovered intents WithTransport and Policy.Authorize add credentials.
type Secrets struct {
	header http.Header   // headers
	query  string        // raw pairs of the query
	user   *url.Userinfo // user and password of the URL
}

// secretWords lists words that make a header's value a secret if its name contains
// one.
var secretWords = []string{
	"auth", "cookie", "token", "secret", "password", "passwd", "credential", "signature",
	"session", "api-key", "apikey", "access-key", "accesskey", "private-key", "dpop", "jwt",
	"subscription-key", "functions-key",
}

// secretQueries lists the query parameters whose values are secrets.
var secretQueries = []string{
	"access_token", "accesstoken", "refresh_token", "id_token", "auth_token", "token", "jwt",
	"api_key", "api-key", "apikey", "key", "access_key", "accesskey", "subscription-key",
	"secret", "client_secret", "password", "passwd", "pwd", "passphrase",
	"sig", "signature", "x-amz-signature", "x-amz-credential", "x-amz-security-token",
	"x-goog-signature", "x-goog-credential", "auth", "authorization", "credential", "session", "sessionid",
}

// secretHeader reports whether a header must not be recorded, by its name or its
// values. keyHeader carries the idempotency key, which is no secret.
func secretHeader(name string, values []string, keyHeader string) bool {
	if strings.EqualFold(name, keyHeader) || strings.EqualFold(name, journal.DefaultKeyHeader) {
		return false
	}
	return !plainHeader(name) && secretName(name) || secretValue(values)
}

// plainHeader reports whether name is one of the headers that most requests and
// replies have. Their names contain no secret word, so they are not searched for one.
func plainHeader(name string) bool {
	switch name {
	case "Accept", "Accept-Encoding", "Accept-Language", "Accept-Ranges", "Age", "Cache-Control",
		"Content-Encoding", "Content-Language", "Content-Length", "Content-Type", "Date", "Etag", "Expires",
		"Idempotent-Replayed", "Last-Modified", "Location", "Request-Id", "Server", "Strict-Transport-Security",
		"User-Agent", "Vary", "X-Request-Id":
		return true
	}
	return false
}

// secretName reports whether a header's name contains a secret word, in any case, with
// dashes or underscores.
func secretName(name string) bool {
	var space [64]byte // enough for most names, without an allocation
	lower := space[:0]
	for i := range len(name) {
		b := name[i]
		switch {
		case 'A' <= b && b <= 'Z':
			b |= 0x20
		case b == '_':
			b = '-'
		}
		lower = append(lower, b)
	}
	for _, word := range secretWords {
		if containsText(lower, word) {
			return true
		}
	}
	return false
}

// secretValue reports whether one of a header's values starts with the name of an
// authentication scheme.
func secretValue(values []string) bool {
	for _, v := range values {
		if v == "" || strings.IndexByte("bBdDnNhH", v[0]) < 0 {
			continue // no scheme starts with this letter: most values, above all dates
		}
		if scheme, _, ok := strings.Cut(v, " "); ok {
			switch strings.ToLower(scheme) {
			case "bearer", "basic", "digest", "negotiate", "hmac":
				return true
			}
		}
	}
	return false
}

// containsText reports whether b contains text, which is not empty.
func containsText(b []byte, text string) bool {
	for i := 0; i+len(text) <= len(b); i++ {
		if b[i] == text[0] && string(b[i:i+len(text)]) == text {
			return true
		}
	}
	return false
}

// secretQuery reports whether a query parameter must not be recorded. keyQuery carries
// the key, which is no secret; declared lists further secrets.
func secretQuery(name, keyQuery string, declared []string) bool {
	is := func(s string) bool { return strings.EqualFold(s, name) }
	return name != keyQuery && (slices.ContainsFunc(secretQueries, is) || slices.ContainsFunc(declared, is))
}

// splitQuery splits a raw query into the pairs that are recorded and the secret ones,
// and returns the names of the secret ones.
func splitQuery(raw, keyQuery string, declared []string) (kept, secret string, names []string) {
	if raw == "" {
		return "", "", nil
	}
	var keep, hide []string
	for _, pair := range strings.Split(raw, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if secretQuery(name, keyQuery, declared) {
			hide, names = append(hide, pair), append(names, name)
		} else {
			keep = append(keep, pair)
		}
	}
	return strings.Join(keep, "&"), strings.Join(hide, "&"), names
}

// withoutSecrets returns the headers of a reply that are recorded. They share their
// values with h: no caller modifies them, since callers get copies.
func withoutSecrets(h http.Header) http.Header {
	kept := make(http.Header, len(h))
	for name, values := range h {
		if !secretHeader(name, values, "") {
			kept[name] = values
		}
	}
	return kept
}

// redacted is an error whose text contained secrets, with a text without them.
type redacted struct {
	text string
	err  error
}

func (e *redacted) Error() string { return e.text }

func (e *redacted) Unwrap() error { return e.err }

// shortestSecret is the length in bytes of the shortest secret that is removed from an
// error's text. Removing every "1" would make the text unreadable.
const shortestSecret = 4

// HideSecrets returns err with the secrets of req replaced by [redacted] in its text,
// because many transports put the whole URL there. The result wraps err, and is err
// itself if its text contains none.
func HideSecrets(err error, req *http.Request, place journal.KeyPlace, redact []string) error {
	whole := err.Error()
	text := whole
	hide := func(secret string) {
		if len(secret) >= shortestSecret {
			text = strings.ReplaceAll(text, secret, "[redacted]")
		}
	}
	for name, values := range req.Header {
		if !secretHeader(name, values, place.Header()) {
			continue
		}
		for _, v := range values {
			hide(v)
			_, token, _ := strings.Cut(v, " ")
			hide(token)
		}
	}
	_, secret, _ := splitQuery(req.URL.RawQuery, place.Query(), redact)
	for _, pair := range strings.Split(secret, "&") {
		_, v, _ := strings.Cut(pair, "=")
		hide(v)
		if plain, err := url.QueryUnescape(v); err == nil {
			hide(plain)
		}
	}
	if text == whole {
		return err
	}
	return &redacted{text, err}
}

// Head is a request as it is recorded: everything but its body, its key and its
// secrets. The record has it as text: a line with the method and the URL, a line for
// each header, and for each part that was removed a line that starts with "-". The
// zero value is no request.
type Head struct {
	method string
	url    *url.URL
	host   string // empty: the URL's host
	header http.Header

	// Removed names the secrets that the request had: "header Authorization", "query
	// api_key", "userinfo". nil: it had none.
	Removed []string
}

// IsZero reports whether h is the zero value.
func (h Head) IsZero() bool { return h.url == nil }

// ContentType returns the request's header Content-Type as it was given.
func (h Head) ContentType() string { return h.header.Get("Content-Type") }

// Encode returns h as text. DecodeHead is its inverse.
func (h Head) Encode() []byte {
	b := make([]byte, 0, 256)
	b = append(b, h.method...)
	b = append(b, ' ')
	b = append(b, h.url.String()...)
	b = append(b, '\n')
	if h.host != "" {
		b = append(append(append(b, "Host: "...), h.host...), '\n')
	}
	return codec.AppendLines(b, h.header, h.Removed)
}

// DecodeHead decodes the text that Encode made. It fails if the first line has no
// method or no URL.
func DecodeHead(text []byte) (Head, error) {
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	method, target, ok := strings.Cut(string(first), " ")
	u, err := url.Parse(target)
	if !ok || err != nil {
		return Head{}, fmt.Errorf("the journaled request begins with a line that cannot be read")
	}
	h := Head{method: method, url: u}
	h.header, h.Removed = codec.DecodeLines(rest)
	if host := h.header.Get("Host"); host != "" {
		h.host = host
		delete(h.header, "Host")
	}
	return h, nil
}

// Target returns the method, host and path of an intent's request, or "tool " and the
// tool's name. It contains no query, which may hold secrets.
func Target(r *journal.Record) string {
	if r.Terms.Tool {
		return "tool " + r.Operation.Name
	}
	first, _, _ := bytes.Cut(r.Head, []byte("\n"))
	method, target, _ := strings.Cut(string(first), " ")
	_, target, _ = strings.Cut(target, "://")
	target, _, _ = strings.Cut(target, "?")
	return method + " " + target
}
