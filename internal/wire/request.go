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

// readOptions says how a request is taken apart.
type ReadOptions struct {
	Place      journal.KeyPlace // where the key goes: what the request has there is left out
	Redact     []string         // query parameters that are secrets besides the known ones
	MaxPayload int64            // the longest body, in bytes
}

// readRequest takes a caller's request apart, without changing it: the head that
// is journaled, the body's exact bytes, and the secrets that only this process
// keeps. The request's body is read to its end and closed.
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

	h := Head{method: req.Method, header: make(http.Header, len(req.Header)+1)} // and the key's
	if h.method == "" {
		h.method = http.MethodGet
	}
	keyHeader, keyQuery := o.Place.Header(), o.Place.Query()
	var s Secrets
	count := 0
	for _, values := range req.Header {
		count += len(values)
	}
	copies := make([]string, 0, count) // of all values, in one piece
	for name, values := range req.Header {
		switch {
		case strings.EqualFold(name, keyHeader), volatileHeader(name):
			continue // ours to set, or different in each attempt
		case secretHeader(name, values, keyHeader):
			if s.header == nil {
				s.header = http.Header{}
			}
			s.header[name] = append([]string(nil), values...)
			h.Removed = append(h.Removed, "header "+name)
			continue
		}
		if len(values) == 0 { // which only means something for one header: none of the usual kind
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
	if clean.Opaque != "" { // as it reads back from the journal: each attempt sends the same
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

// volatileHeader names what SDKs put in anew for each attempt, and what net/http
// takes from the request's other fields.
func volatileHeader(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "X-Stripe-Client-Telemetry", "X-Stainless-Retry-Count", "Content-Length", "Transfer-Encoding", "Connection", "Host", "Trailer":
		return true
	}
	return false
}

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

// fingerprinted is the part of a request that its fingerprint covers.
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

// wireRequest is what an attempt of an intent sends: the journaled head and bytes,
// the key in its place, and the credentials of the call at hand. It serves one
// attempt: what it goes through may write into the headers.
type Request struct {
	head     Head
	body     []byte
	place    journal.KeyPlace
	key      string
	keyValue string // of its header, where it is in one
	AsksJSON bool

	trace connTrace // of the attempt
	sent  sendBody  // its body
}

// newWireRequest is a journaled request as it is sent.
func NewRequest(r *journal.Record, s Secrets) (*Request, error) {
	h, err := DecodeHead(r.Head)
	if err != nil {
		return nil, err
	}
	return h.Request(r, s)
}

// wire puts the key into its place, which may be in the body, and the credentials
// of the call at hand back. h is the caller's no longer.
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
		// The window's start is journaled and the same in every attempt.
		at := r.Summary().WindowStart.UTC().Format(http.TimeFormat)
		h.header[http.CanonicalHeaderKey(r.Terms.FirstSent)] = []string{at}
	}
	for name, values := range s.header {
		h.header[name] = slices.Clone(values) // what signs a request may write into it
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

// host returns the host that the attempt goes to.
func (w *Request) Host() string { return w.head.url.Host }

// Target returns the method and where the attempt goes, without the query, which
// may hold the key and secrets.
func (w *Request) Target() (method string, target *url.URL) {
	u := w.head.url
	return w.head.method, &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
}

// keepKey puts the key back, whatever Policy.Authorize did to the request.
func (w *Request) keepKey(req *http.Request) {
	if name := w.place.Header(); name != "" {
		name = http.CanonicalHeaderKey(name)
		if req.Header == nil {
			req.Header = http.Header{}
		}
		req.Header[name] = []string{w.keyValue}
	}
	// A query that has it stays as it is: it may have been signed.
	if name := w.place.Query(); name != "" && req.URL.Query().Get(name) != w.key {
		req.URL.RawQuery = fingerprint.SetPair(req.URL.RawQuery, name, w.key)
	}
}

// sendBody is a request's body that net/http cannot rewind, so that it cannot
// send the request a second time behind our back: there is no GetBody, and it is
// never nil or http.NoBody, since a bodyless request is sent again even so.
type sendBody struct{ bytes.Reader }

func (*sendBody) Close() error { return nil }

// request is the request of the attempt that is bounded by ctx.
func (w *Request) HTTP(ctx context.Context) *http.Request {
	w.sent.Reset(w.body)
	req := http.Request{
		Method: w.head.method, URL: w.head.url, Host: w.head.host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.head.header, Body: &w.sent, ContentLength: int64(len(w.body)),
	}
	return req.WithContext(ctx)
}

// wantsJSON tells whether JSON was asked for: by Accept, or, where Accept leaves
// it open, by sending JSON.
func wantsJSON(h http.Header) bool {
	accept := strings.ToLower(h.Get("Accept"))
	if strings.Contains(accept, "json") {
		return !strings.Contains(accept, "html")
	}
	return (accept == "" || accept == "*/*") && strings.Contains(strings.ToLower(h.Get("Content-Type")), "json")
}
