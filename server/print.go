package server

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"mime"
	"net/http"

	"github.com/idem-go/idem"
)

// print is what tells two payloads of one key apart.
type print struct {
	sum   [32]byte // by what they mean
	rules int      // the version of the rules that sum is made by
	raw   [32]byte // by their bytes: the same under any rules
}

// same tells whether two requests mean the same. Sums by different rules cannot be
// compared; then only the same bytes are the same.
func (p print) same(q print) bool {
	return p.raw == q.raw || (p.rules == q.rules && p.sum == q.sum)
}

// printOf is the fingerprint of a request: method, path, query, kind of content and
// body. The host is left out: one server has many names.
func printOf(r *http.Request, body []byte, ignore []string) print {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = r.Header.Get("Content-Type")
	}
	bare := &http.Request{Method: r.Method, Header: r.Header}
	u := *r.URL
	u.Host = ""
	bare.URL = &u
	sum, rules := idem.Fingerprint(bare, body, ignore...)
	return print{
		sum:   hashOf(string(sum[:]), kind),
		rules: rules,
		raw: hashOf(r.Method, r.URL.EscapedPath(), r.URL.RawQuery, kind,
			r.Header.Get("Content-Encoding"), string(body)),
	}
}

// hashOf frames each part by its length, so that no two lists run together.
func hashOf(parts ...string) [32]byte {
	h := sha256.New()
	var buf [binary.MaxVarintLen64]byte
	for _, part := range parts {
		h.Write(buf[:binary.PutUvarint(buf[:], uint64(len(part)))])
		io.WriteString(h, part)
	}
	return [32]byte(h.Sum(nil))
}
