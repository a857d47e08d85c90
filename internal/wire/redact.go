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

// secrets is what a request carries that never reaches the journal or a log. It
// lives as long as the caller's call; for recovered attempts WithTransport and
// Policy.Authorize put such things back.
type Secrets struct {
	header http.Header
	query  string // raw pairs
	user   *url.Userinfo
}

// secretWords in a header's name make its value a secret.
var secretWords = []string{
	"auth", "cookie", "token", "secret", "password", "passwd", "credential", "signature",
	"session", "api-key", "apikey", "access-key", "accesskey", "private-key", "dpop", "jwt",
	"subscription-key", "functions-key",
}

// secretQueries are the query names whose values are secrets wherever they stand.
var secretQueries = []string{
	"access_token", "accesstoken", "refresh_token", "id_token", "auth_token", "token", "jwt",
	"api_key", "api-key", "apikey", "key", "access_key", "accesskey", "subscription-key",
	"secret", "client_secret", "password", "passwd", "pwd", "passphrase",
	"sig", "signature", "x-amz-signature", "x-amz-credential", "x-amz-security-token",
	"x-goog-signature", "x-goog-credential", "auth", "authorization", "credential", "session", "sessionid",
}

// secretHeader tells whether a header's value must not be kept. keyHeader is the
// one that carries the idempotency key, which is no secret.
func secretHeader(name string, values []string, keyHeader string) bool {
	if strings.EqualFold(name, keyHeader) || strings.EqualFold(name, journal.DefaultKeyHeader) {
		return false
	}
	return !plainHeader(name) && secretName(name) || secretValue(values)
}

// plainHeader tells the headers that most requests and replies have, whose names have
// no secret word in them: they need not be looked through for each word.
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

// secretName tells whether a header's name has a secret word in it, in any case, with
// dashes or underscores.
func secretName(name string) bool {
	var space [64]byte // no header's name is read without one, so it costs nothing
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

// secretValue tells whether one of a header's values begins with the name of a scheme
// that credentials come with.
func secretValue(values []string) bool {
	for _, v := range values {
		if v == "" || strings.IndexByte("bBdDnNhH", v[0]) < 0 {
			continue // not the first letter of any: most values, dates above all
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

// containsText is bytes.Contains for a text that is not empty.
func containsText(b []byte, text string) bool {
	for i := 0; i+len(text) <= len(b); i++ {
		if b[i] == text[0] && string(b[i:i+len(text)]) == text {
			return true
		}
	}
	return false
}

func secretQuery(name, keyQuery string, declared []string) bool {
	is := func(s string) bool { return strings.EqualFold(s, name) }
	return name != keyQuery && (slices.ContainsFunc(secretQueries, is) || slices.ContainsFunc(declared, is))
}

// splitQuery parts a raw query into what is kept and what is secret.
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

// withoutSecrets is those of a reply's headers that may be kept. The values are the
// reply's own: nothing writes into them, since callers get copies.
func withoutSecrets(h http.Header) http.Header {
	kept := make(http.Header, len(h))
	for name, values := range h {
		if !secretHeader(name, values, "") {
			kept[name] = values
		}
	}
	return kept
}

// redacted is an error whose text had secrets in it.
type redacted struct {
	text string
	err  error
}

func (e *redacted) Error() string { return e.text }

func (e *redacted) Unwrap() error { return e.err }

// shortestSecret is not hidden in an error's text if it is shorter: hiding every
// "1" would hide what happened.
const shortestSecret = 4

// hideSecrets takes a request's secrets out of the text of the error that it ended
// with: many transports put the whole URL there.
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

// head is a request as it is journaled: everything but its body and its secrets.
// On disk it is text: the method and the URL, a line for each header, and a line
// that begins with - for each thing left out.
type Head struct {
	method  string
	url     *url.URL
	host    string // where it is not the URL's
	header  http.Header
	Removed []string // "header Authorization", "query api_key", "userinfo"
}

// isZero reports whether h is no request.
func (h Head) IsZero() bool { return h.url == nil }

// contentType returns the request's media type as it was given.
func (h Head) ContentType() string { return h.header.Get("Content-Type") }

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

// targetOf is where an intent goes, without query.
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
