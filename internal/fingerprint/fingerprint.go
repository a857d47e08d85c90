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

// fingerprintRules is the version of the rules below. Rows carry it, so that a
// payload journaled under older rules is fingerprinted again before it is called
// another payload.
const Version = 1

// payload is what is fingerprinted: the request as it is sent, less what may
// differ between two requests that mean the same.
type Payload struct {
	Method, Host, Path string
	Query              string // raw, without secrets
	ContentType        string
	ContentEncoding    string
	Body               []byte

	Place  journal.KeyPlace // where the key goes: left out, since SDKs fill it themselves
	Ignore []string         // Policy.Ignore
}

// fingerprint is the sha256 over method, host, path, query and canonical body.
// Every part is framed by its length, so that no two payloads run together.
func (p Payload) Fingerprint() [32]byte {
	var space [1024]byte // most payloads are read without an allocation for this
	b := AppendParts(space[:0], p.Method, strings.ToLower(p.Host), p.Path)
	var fields [8]pair // likewise
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

// appendParts frames each part by its length, so that no two lists run together.
func AppendParts(b []byte, parts ...string) []byte {
	for _, part := range parts {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

// frame writes each part with its length before it.
func Frame(h hash.Hash, parts ...string) { h.Write(AppendParts(nil, parts...)) }

// pair is a field's name and its value. Where nothing in them had to be decoded they
// are parts of the form's own bytes, which are read and not written.
type pair [2][]byte

func appendPairs(b []byte, pairs []pair) []byte {
	b = AppendParts(b, strconv.Itoa(len(pairs)))
	for _, p := range pairs {
		for _, part := range p {
			b = append(binary.AppendUvarint(b, uint64(len(part))), part...)
		}
	}
	return b
}

// canonical is the body in the form that is compared, and which form that is.
func (p Payload) canonical() (kind string, body []byte) {
	kind, body, pairs := p.comparable(nil)
	if kind == "form" {
		body = appendPairs(nil, pairs)
	}
	return kind, body
}

// comparable is canonical, with the pairs of a form as they are. What cannot be read
// as what it claims to be is compared byte for byte. The pairs are put into space, if they
// fit.
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

// omitted is what the body's comparison leaves out: JSON pointers or field names.
func (p Payload) omitted() []string {
	if field := p.Place.Field(); field != "" {
		return append(slices.Clip(p.Ignore), field)
	}
	return p.Ignore
}

// maxInflated bounds what a compressed body may grow to while it is compared.
const maxInflated = 64 << 20

// decoded undoes a gzip coding: two compressors make different bytes of the same
// content. ok is false where that cannot be done, and the bytes are compared.
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

// formPairs are the pairs of a form or query, sorted by name; the values of one
// name keep their order, which may mean something. ok is false for what does not
// decode. The pairs are put into space, which is empty, if they fit.
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

// unescaped is url.QueryUnescape, without a copy of what has nothing to decode.
func unescaped(text []byte) ([]byte, error) {
	if bytes.IndexByte(text, '%') < 0 && bytes.IndexByte(text, '+') < 0 {
		return text, nil
	}
	plain, err := url.QueryUnescape(string(text))
	return []byte(plain), err
}

// formNameIs takes a field's name, or a JSON pointer of one step, so that one
// policy fits an API that takes both.
func formNameIs(name []byte, wanted string) bool {
	return wanted != "" && (string(name) == wanted || wanted[0] == '/' && string(name) == wanted[1:])
}

// canonicalMultipart is the parts in order, each with its headers, without the
// boundary, which is random.
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

// differ names the first place in which two payloads differ: never a value.
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

// firstPair is the name at which two sorted lists of pairs part.
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

// hashFields writes the values at these JSON pointers (for a form: field names) of a
// body to h, and reports whether there was one.
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
