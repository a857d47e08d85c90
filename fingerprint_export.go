package idem

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Fingerprint is the sha256 by which this package tells whether two requests mean
// the same: over method, host, path, query and canonical body, as the package's
// own intents have it. JSON is compared by its values, a form by its sorted pairs,
// a multipart body by its parts, a gzip body by its content, anything else byte
// for byte. body is what the request's body holds; req itself is not read.
//
// ignore lists JSON pointers (for a form: field names) that are left out. A name
// that begins with "?" is left out of the query instead.
//
// rules is the version of these rules: fingerprints of two versions cannot be
// compared. It is for the far side of a contract, such as the package server,
// where req is what arrived: a host that is empty in req is not covered.
func Fingerprint(req *http.Request, body []byte, ignore ...string) (sum [32]byte, rules int) {
	p := payload{
		method: req.Method, host: req.Host, body: body,
		contentType: req.Header.Get("Content-Type"), contentEncoding: req.Header.Get("Content-Encoding"),
	}
	if p.method == "" {
		p.method = http.MethodGet
	}
	var queries []string
	for _, name := range ignore {
		if query, ok := strings.CutPrefix(name, "?"); ok {
			queries = append(queries, query)
		} else {
			p.ignore = append(p.ignore, name)
		}
	}
	if req.URL != nil {
		p.path, p.query = req.URL.EscapedPath(), withoutPairs(req.URL.RawQuery, queries)
		if p.host == "" {
			p.host = req.URL.Host
		}
	}
	return p.fingerprint(), fingerprintRules
}

// withoutPairs is a raw query without the pairs of those names.
func withoutPairs(raw string, names []string) string {
	if len(names) == 0 || raw == "" {
		return raw
	}
	var kept []string
	for _, pair := range strings.Split(raw, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if !slices.Contains(names, name) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}
