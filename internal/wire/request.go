package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/idem-go/idem/internal/fingerprint"
	"github.com/idem-go/idem/journal"
)

// ReadOptions are the options of Read.
type ReadOptions struct {
	// Place is where an attempt carries the key. Read removes what the request has there.
	Place journal.KeyPlace

	// Redact lists query parameters that are secret in addition to the known ones.
	Redact []string

	// MaxPayload is the greatest length of a body, in bytes. A longer one is an error.
	MaxPayload int64
}

// Read takes a caller's request apart. It returns the head that is recorded, the exact
// bytes of the body, and the secrets, which are not recorded. It reads the body to its
// end and closes it, and does not modify the request otherwise. It fails if the request
// cannot be sent or recorded exactly, its body cannot be read, or the body is longer
// than MaxPayload.
func Read(req *http.Request, o ReadOptions) (Head, []byte, Secrets, error) {
	if req == nil {
		return Head{}, nil, Secrets{}, errors.New("the request is nil")
	}
	if req.Body != nil {
		defer req.Body.Close()
	}
	if err := validateRequest(req); err != nil {
		return Head{}, nil, Secrets{}, err
	}
	u := req.URL
	body, err := readBody(req, o.MaxPayload)
	if err != nil {
		return Head{}, nil, Secrets{}, err
	}

	h := Head{method: req.Method, header: make(http.Header, len(req.Header)+1)} // one more: the key's
	if h.method == "" {
		h.method = http.MethodGet
	}
	keyHeader, keyQuery := o.Place.Header(), o.Place.Query()
	var s Secrets
	count := 0
	for _, values := range req.Header {
		count += len(values)
	}
	copies := make([]string, 0, count) // all values in one allocation
	for name, values := range req.Header {
		switch {
		case strings.EqualFold(name, keyHeader), volatileHeader(name):
			continue // set in each attempt
		case secretHeader(name, values, keyHeader):
			if s.header == nil {
				s.header = http.Header{}
			}
			s.header[name] = append([]string(nil), values...)
			h.Removed = append(h.Removed, "header "+name)
			continue
		}
		if len(values) == 0 { // only User-Agent has a meaning without a value: net/http sends none
			if http.CanonicalHeaderKey(name) == "User-Agent" {
				h.header["User-Agent"] = []string{""}
			}
			continue
		}
		copies = append(copies, values...)
		h.header[name] = copies[len(copies)-len(values) : len(copies) : len(copies)]
	}
	clean := *u
	if u.User != nil {
		s.user, clean.User = u.User, nil
		h.Removed = append(h.Removed, "userinfo")
	}
	clean.Fragment, clean.RawFragment = "", ""
	if clean.Opaque != "" { // make it what DecodeHead returns, so that each attempt sends the same
		plain, err := url.Parse(clean.Scheme + ":" + clean.Opaque)
		if err != nil {
			return Head{}, nil, Secrets{}, fmt.Errorf("the request's URL has an Opaque part that cannot be read: set Path and RawPath instead")
		}
		clean.Opaque, clean.Path, clean.RawPath = "", plain.Path, plain.RawPath
	}
	var names []string
	clean.RawQuery, s.query, names = splitQuery(u.RawQuery, keyQuery, o.Redact)
	for _, name := range names {
		h.Removed = append(h.Removed, "query "+name)
	}
	h.url = &clean
	if req.Host != "" && req.Host != u.Host {
		h.host = req.Host
	}
	return h, body, s, nil
}

// volatileHeader reports whether SDKs set the header to another value in each attempt,
// or net/http derives it from other fields of the request. It is not recorded.
func volatileHeader(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "X-Stripe-Client-Telemetry", "X-Stainless-Retry-Count", "Content-Length", "Transfer-Encoding", "Connection", "Host", "Trailer":
		return true
	}
	return false
}

// readBody returns the request's body. It fails if the body is longer than limit, or
// has another length than ContentLength.
func readBody(req *http.Request, limit int64) ([]byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	if req.ContentLength > limit {
		return nil, fmt.Errorf("the payload has %d bytes, the limit is %d: raise it with WithMaxPayload", req.ContentLength, limit)
	}
	var body []byte
	var err error
	if req.ContentLength > 0 {
		body = make([]byte, req.ContentLength)
		var n int
		if n, err = io.ReadFull(req.Body, body); err == io.ErrUnexpectedEOF || err == io.EOF {
			return nil, fmt.Errorf("the payload ends after %d of the %d bytes that its ContentLength says", n, req.ContentLength)
		}
		if err == nil {
			var more [1]byte
			n, err = io.ReadFull(req.Body, more[:])
			switch {
			case n > 0:
				return nil, fmt.Errorf("the payload goes on after the %d bytes that its ContentLength says", req.ContentLength)
			case err == io.EOF:
				err = nil
			}
		}
	} else {
		body, err = io.ReadAll(io.LimitReader(req.Body, limit+1))
	}
	if err != nil {
		return nil, fmt.Errorf("the payload could not be read to its end: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("the payload has more than %d bytes, the limit: raise it with WithMaxPayload", limit)
	}
	return body, nil
}

// Payload returns the part of the request that its fingerprint covers.
func (h Head) Payload(body []byte, place journal.KeyPlace, ignore []string) fingerprint.Payload {
	host := h.url.Host
	if h.host != "" {
		host = h.host
	}
	return fingerprint.Payload{
		Method: h.method, Host: host, Path: h.url.EscapedPath(), Query: h.url.RawQuery,
		ContentType: h.header.Get("Content-Type"), ContentEncoding: h.header.Get("Content-Encoding"),
		Body: body, Place: place, Ignore: ignore,
	}
}

// Request is the request of one attempt: the recorded head and payload, the key in its
// place, and the secrets of the caller's own call. It can be sent once, because
// transports may modify the headers.
type Request struct {
	head     Head
	body     []byte
	place    journal.KeyPlace
	key      string
	keyValue string // the header's value, if the key is in a header

	// AsksJSON is true if the request asks for a JSON reply, by its Accept header or,
	// if that leaves it open, by sending JSON.
	AsksJSON bool

	target url.URL   // what Target returns
	trace  connTrace // observes the attempt
	sent   sendBody  // is the body that net/http reads
}

// NewRequest returns the request of an attempt of r, with the secrets s. It fails if the
// recorded head cannot be decoded, or the key cannot be put into the body.
func NewRequest(r *journal.Record, s Secrets) (*Request, error) {
	h, err := DecodeHead(r.Head)
	if err != nil {
		return nil, err
	}
	return h.Request(r, s)
}

// Request returns the request of an attempt of r, of which h is the decoded head, with
// the secrets s. It fails if the key cannot be put into the body. Request modifies h,
// which the caller must not use any more.
func (h Head) Request(r *journal.Record, s Secrets) (w *Request, err error) {
	w = &Request{head: h, body: r.Payload, place: r.Terms.KeyPlace, key: r.Key, AsksJSON: wantsJSON(h.header)}
	header, query, field := w.place.Header(), w.place.Query(), w.place.Field()
	switch {
	case header != "":
		value := r.Key
		if r.Terms.Quoted {
			value = `"` + value + `"`
		}
		w.keyValue = value
		h.header[http.CanonicalHeaderKey(header)] = []string{value}
	case query != "":
		h.url.RawQuery = fingerprint.SetPair(h.url.RawQuery, query, r.Key)
	case field != "":
		if w.body, err = fingerprint.PutKey(h.header.Get("Content-Type"), r.Payload, field, r.Key); err != nil {
			return nil, err
		}
	}
	if r.Terms.FirstSent != "" {
		// WindowStart is recorded, so it is the same in every attempt.
		at := r.Summary().WindowStart.UTC().Format(http.TimeFormat)
		h.header[http.CanonicalHeaderKey(r.Terms.FirstSent)] = []string{at}
	}
	for name, values := range s.header {
		h.header[name] = slices.Clone(values) // Policy.Authorize may modify it
	}
	if s.query != "" {
		if h.url.RawQuery != "" {
			h.url.RawQuery += "&"
		}
		h.url.RawQuery += s.query
	}
	if s.user != nil && h.header.Get("Authorization") == "" {
		password, _ := s.user.Password()
		auth := http.Request{Header: h.header}
		auth.SetBasicAuth(s.user.Username(), password)
	}
	return w, nil
}

// Host returns the host of the request's URL.
func (w *Request) Host() string { return w.head.url.Host }

// Target returns the request's method and URL without its query, which may hold the
// key and secrets.
func (w *Request) Target() (method string, target *url.URL) {
	u := w.head.url
	w.target = url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return w.head.method, &w.target
}

// keepKey puts the key into its place in req again, in case Policy.Authorize removed or
// changed it.
func (w *Request) keepKey(req *http.Request) {
	if name := w.place.Header(); name != "" {
		name = http.CanonicalHeaderKey(name)
		if req.Header == nil {
			req.Header = http.Header{}
		}
		req.Header[name] = []string{w.keyValue}
	}
	// A query that has the key stays as it is, since Policy.Authorize may have signed it.
	if name := w.place.Query(); name != "" && req.URL.Query().Get(name) != w.key {
		req.URL.RawQuery = fingerprint.SetPair(req.URL.RawQuery, name, w.key)
	}
}

// sendBody is a request's body that net/http cannot read a second time, so that it
// never sends the request again on its own. For the same reason the request has no
// GetBody, and an empty body is a sendBody too: net/http also sends requests again
// whose body is nil or http.NoBody.
//
// It fails once nothing more may be written. Where all of it is read already, nothing is
// left to write: HTTP/1 reads once more after the server has the last byte, and a server
// that has answered by then is believed.
type sendBody struct {
	bytes.Reader
	trace *connTrace
}

// Read implements io.Reader.
func (b *sendBody) Read(p []byte) (int, error) {
	if b.isRead() {
		return 0, io.EOF
	}
	if err := b.trace.mayRead(); err != nil {
		return 0, err
	}
	return b.Reader.Read(p)
}

// WriteTo implements io.WriterTo.
func (b *sendBody) WriteTo(to io.Writer) (int64, error) {
	if b.isRead() {
		return 0, nil
	}
	if err := b.trace.mayRead(); err != nil {
		return 0, err
	}
	return b.Reader.WriteTo(to)
}

// isRead reports whether the body is not empty and has been read to its end.
func (b *sendBody) isRead() bool { return b.Size() > 0 && b.Len() == 0 }

// Close does nothing.
func (*sendBody) Close() error { return nil }

// HTTP returns the request as net/http sends it, bounded by ctx.
func (w *Request) HTTP(ctx context.Context) *http.Request {
	w.sent.Reset(w.body)
	w.sent.trace = &w.trace
	req := http.Request{
		Method: w.head.method, URL: w.head.url, Host: w.head.host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.head.header, Body: &w.sent, ContentLength: int64(len(w.body)),
	}
	return req.WithContext(ctx)
}

// wantsJSON reports whether a request with the headers h asks for JSON: by Accept or, if
// Accept leaves it open, by sending JSON.
func wantsJSON(h http.Header) bool {
	accept := strings.ToLower(h.Get("Accept"))
	if strings.Contains(accept, "json") {
		return !strings.Contains(accept, "html")
	}
	return (accept == "" || accept == "*/*") && strings.Contains(strings.ToLower(h.Get("Content-Type")), "json")
}
