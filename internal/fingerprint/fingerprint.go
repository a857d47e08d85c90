// Package fingerprint compares payloads. The fingerprint of a payload is a hash of its
// canonical form, so that two requests that mean the same have equal fingerprints. The
// package also names the first difference between two payloads, reads fields of a
// body, and puts a key into a body or a query without changing the rest.
package fingerprint

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/idem-go/idem/journal"
)

// Version is the version of the rules by which Payload.Fingerprint compares. Each
// record has the version of its fingerprint; fingerprints of two versions cannot be
// compared. Raise Version with every change of the rules.
const Version = 1

// Payload is what a fingerprint covers: a request without the parts that can differ
// between two requests that mean the same.
type Payload struct {
	// Method, Host and Path are the request's. Path is escaped. The case of Host does
	// not matter.
	Method, Host, Path string

	// Query is the raw query without secrets. Empty: there is none.
	Query string

	// ContentType and ContentEncoding are the request's headers of these names. They
	// choose how Body is compared. Empty: the request has none.
	ContentType     string
	ContentEncoding string

	// Body is the request's body as it is sent.
	Body []byte

	// Place is where the request carries the key. The key is not compared, because some
	// SDKs set one of their own. Zero: the request carries none.
	Place journal.KeyPlace

	// Ignore lists the fields of the body that are not compared, as Policy.Ignore does.
	Ignore []string
}

// Fingerprint returns the SHA-256 hash of method, host, path, query and canonical
// body. Each part has its length before it, so that different payloads never have the
// same text.
func (p Payload) Fingerprint() [32]byte {
	var space [1024]byte // enough for most payloads, without an allocation
	b := AppendParts(space[:0], p.Method, strings.ToLower(p.Host), p.Path)
	var fields [8]pair // enough for most forms
	if pairs, ok := formPairs(fields[:0], []byte(p.Query), []string{p.Place.Query()}); ok {
		b = appendPairs(b, pairs)
	} else {
		b = AppendParts(b, "raw", p.Query)
	}
	kind, body, pairs := p.comparable(fields[:0])
	b = AppendParts(b, kind)
	if kind == "form" {
		b = appendPairs(b, pairs)
	}
	return sha256.Sum256(append(b, body...))
}

// AppendParts appends each part to b with its length before it. Different lists of
// parts never make the same bytes.
func AppendParts(b []byte, parts ...string) []byte {
	for _, part := range parts {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

// Frame writes each part to h as AppendParts does.
func Frame(h hash.Hash, parts ...string) { h.Write(AppendParts(nil, parts...)) }

// pair is the name and the value of a form field. They can share memory with the form,
// and must not be modified.
type pair [2][]byte

// appendPairs appends the number of pairs and each name and value to b, with lengths.
func appendPairs(b []byte, pairs []pair) []byte {
	b = AppendParts(b, strconv.Itoa(len(pairs)))
	for _, p := range pairs {
		for _, part := range p {
			b = append(binary.AppendUvarint(b, uint64(len(part))), part...)
		}
	}
	return b
}

// canonical returns the canonical body, and what kind of body it is.
func (p Payload) canonical() (kind string, body []byte) {
	kind, body, pairs := p.comparable(nil)
	if kind == "form" {
		body = appendPairs(nil, pairs)
	}
	return kind, body
}

// comparable returns the kind of the body and its canonical form, or for a form its
// sorted pairs. A body that does not parse as its content type is compared byte for
// byte. The pairs are stored in space if they fit.
func (p Payload) comparable(space []pair) (kind string, body []byte, form []pair) {
	plain, ok := p.decoded()
	if !ok {
		return "bytes in " + strings.ToLower(p.ContentEncoding), p.Body, nil
	}
	if len(plain) == 0 {
		return "empty", nil, nil
	}
	mediaType, params := p.ContentType, map[string]string(nil)
	if strings.ContainsAny(mediaType, "; ") || strings.ToLower(mediaType) != mediaType {
		var err error
		if mediaType, params, err = mime.ParseMediaType(p.ContentType); err != nil {
			mediaType = ""
		}
	}
	switch {
	case mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"):
		if c, ok := CanonicalJSON(plain, p.omitted()); ok {
			return "json", c, nil
		}
	case mediaType == "application/x-www-form-urlencoded":
		if pairs, ok := formPairs(space, plain, p.omitted()); ok {
			return "form", nil, pairs
		}
	case strings.HasPrefix(mediaType, "multipart/"):
		if c, ok := canonicalMultipart(plain, params["boundary"], p.omitted()); ok {
			return mediaType, c, nil
		}
	}
	return "bytes", plain, nil
}

// omitted returns the JSON pointers or form names of the fields that are not compared.
func (p Payload) omitted() []string {
	if field := p.Place.Field(); field != "" {
		return append(slices.Clip(p.Ignore), field)
	}
	return p.Ignore
}

// maxInflated is the greatest length in bytes of a body that is decompressed to be
// compared.
const maxInflated = 64 << 20

// decoded returns the body without its gzip coding, because two compressors make
// different bytes of the same content. It returns false if the body has another coding
// or cannot be decompressed.
func (p Payload) decoded() ([]byte, bool) {
	if !strings.EqualFold(p.ContentEncoding, "gzip") {
		return p.Body, p.ContentEncoding == "" || strings.EqualFold(p.ContentEncoding, "identity")
	}
	r, err := gzip.NewReader(bytes.NewReader(p.Body))
	if err != nil {
		return nil, false
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxInflated+1))
	return plain, err == nil && len(plain) <= maxInflated
}

// formPairs returns the pairs of a form or query without the fields in omit. They are
// sorted by name; values of the same name keep their order, which can have a meaning.
// ok is false if a name or value does not decode. space is empty; the pairs are stored
// in it if they fit.
func formPairs(space []pair, form []byte, omit []string) (pairs []pair, ok bool) {
	if len(form) == 0 {
		return nil, true
	}
	pairs = slices.Grow(space, 1+bytes.Count(form, []byte("&")))
	for len(form) > 0 {
		var field []byte
		field, form, _ = bytes.Cut(form, []byte("&"))
		if len(field) == 0 {
			continue
		}
		name, value, _ := bytes.Cut(field, []byte("="))
		name, err := unescaped(name)
		if err != nil {
			return nil, false
		}
		value, err = unescaped(value)
		if err != nil {
			return nil, false
		}
		if !slices.ContainsFunc(omit, func(o string) bool { return formNameIs(name, o) }) {
			pairs = append(pairs, pair{name, value})
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return bytes.Compare(a[0], b[0]) })
	return pairs, true
}

// unescaped returns text as url.QueryUnescape decodes it. It returns text itself if
// nothing in it is escaped.
func unescaped(text []byte) ([]byte, error) {
	if bytes.IndexByte(text, '%') < 0 && bytes.IndexByte(text, '+') < 0 {
		return text, nil
	}
	plain, err := url.QueryUnescape(string(text))
	return []byte(plain), err
}

// formNameIs reports whether wanted is this form field: its name, or a JSON pointer
// with that one step. A policy with JSON pointers also fits an API that takes forms.
func formNameIs(name []byte, wanted string) bool {
	return wanted != "" && (string(name) == wanted || wanted[0] == '/' && string(name) == wanted[1:])
}

// canonicalMultipart returns a hash of the parts in their order, each with its headers.
// The boundary, which is random, is not part of it. It returns false if body does not
// parse.
func canonicalMultipart(body []byte, boundary string, omit []string) ([]byte, bool) {
	if boundary == "" {
		return nil, false
	}
	h := sha256.New()
	r := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := r.NextRawPart()
		if err == io.EOF {
			return h.Sum(nil), true
		}
		if err != nil {
			return nil, false
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return nil, false
		}
		if slices.ContainsFunc(omit, func(o string) bool { return formNameIs([]byte(part.FormName()), o) }) {
			continue
		}
		Frame(h, "part")
		names := make([]string, 0, len(part.Header))
		for name := range part.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			values := part.Header[name]
			Frame(h, textproto.CanonicalMIMEHeaderKey(name), strconv.Itoa(len(values)))
			Frame(h, values...)
		}
		Frame(h, "", string(content))
	}
}

// Differ returns a description of the first difference between two payloads, such as
// the name of a field, for a message. It contains no value, since values can be secret.
func Differ(a, b Payload) string {
	switch {
	case a.Method != b.Method:
		return "the method"
	case !strings.EqualFold(a.Host, b.Host):
		return "the host"
	case a.Path != b.Path:
		return "the path"
	}
	keyQuery := []string{a.Place.Query()}
	aq, _ := formPairs(nil, []byte(a.Query), keyQuery)
	bq, _ := formPairs(nil, []byte(b.Query), keyQuery)
	if name, ok := firstPair(aq, bq); ok {
		return "query field " + QuoteName(name)
	}
	ak, ac := a.canonical()
	bk, bc := b.canonical()
	if ak != bk {
		return "the kind of body (" + ak + " before, " + bk + " now)"
	}
	if bytes.Equal(ac, bc) {
		return "the query"
	}
	switch ak {
	case "json":
		return "JSON field " + differJSON(ac, bc)
	case "form":
		ab, _ := a.decoded()
		bb, _ := b.decoded()
		ap, _ := formPairs(nil, ab, a.omitted())
		bp, _ := formPairs(nil, bb, b.omitted())
		name, _ := firstPair(ap, bp)
		return "form field " + QuoteName(name)
	}
	return "the body"
}

// firstPair returns the name of the first pair that two sorted lists do not have in
// common, or false if they are equal.
func firstPair(a, b []pair) (string, bool) {
	for i := range min(len(a), len(b)) {
		if !bytes.Equal(a[i][0], b[i][0]) || !bytes.Equal(a[i][1], b[i][1]) {
			return min(string(a[i][0]), string(b[i][0])), true
		}
	}
	switch {
	case len(a) > len(b):
		return string(a[len(b)][0]), true
	case len(b) > len(a):
		return string(b[len(a)][0]), true
	}
	return "", false
}

// HashFields writes the values of the body's fields at these JSON pointers, or in a
// form with these names, to h. found reports whether the body has one of the fields.
func HashFields(h hash.Hash, contentType string, body []byte, pointers []string) (found bool) {
	mediaType, _, _ := mime.ParseMediaType(contentType)
	pairs, isForm := []pair(nil), mediaType == "application/x-www-form-urlencoded"
	if isForm {
		pairs, _ = formPairs(nil, body, nil)
	}
	for _, pointer := range pointers {
		Frame(h, pointer)
		if isForm {
			for _, p := range pairs {
				if formNameIs(p[0], pointer) {
					Frame(h, string(p[1]))
					found = true
				}
			}
		} else if v, ok := Lookup(body, pointer); ok {
			if c, ok := CanonicalJSON(v, nil); ok {
				Frame(h, string(c))
				found = true
			}
		}
		Frame(h, "")
	}
	return found
}
