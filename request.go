package idem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// readOptions says how a request is taken apart.
type readOptions struct {
	place      KeyPlace // where the key goes: what the request has there is left out
	redact     []string // query parameters that are secrets besides the known ones
	maxPayload int64    // the longest body, in bytes
}

// readRequest takes a caller's request apart, without changing it: the head that
// is journaled, the body's exact bytes, and the secrets that only this process
// keeps. The request's body is read to its end and closed.
func readRequest(req *http.Request, o readOptions) (head, []byte, secrets, error) {
	if req == nil {
		return head{}, nil, secrets{}, errors.New("the request is nil")
	}
	if req.Body != nil {
		defer req.Body.Close()
	}
	if err := sendable(req); err != nil {
		return head{}, nil, secrets{}, err
	}
	u := req.URL
	body, err := readBody(req, o.maxPayload)
	if err != nil {
		return head{}, nil, secrets{}, err
	}

	h := head{method: req.Method, header: make(http.Header, len(req.Header)+1)} // and the key's
	if h.method == "" {
		h.method = http.MethodGet
	}
	keyHeader, keyQuery := o.place.Header(), o.place.Query()
	var s secrets
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
			h.removed = append(h.removed, "header "+name)
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
		h.removed = append(h.removed, "userinfo")
	}
	clean.Fragment, clean.RawFragment = "", ""
	if clean.Opaque != "" { // as it reads back from the journal: each attempt sends the same
		plain, err := url.Parse(clean.Scheme + ":" + clean.Opaque)
		if err != nil {
			return head{}, nil, secrets{}, fmt.Errorf("the request's URL has an Opaque part that cannot be read: set Path and RawPath instead")
		}
		clean.Opaque, clean.Path, clean.RawPath = "", plain.Path, plain.RawPath
	}
	var names []string
	clean.RawQuery, s.query, names = splitQuery(u.RawQuery, keyQuery, o.redact)
	for _, name := range names {
		h.removed = append(h.removed, "query "+name)
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
func (h head) fingerprinted(body []byte, place KeyPlace, ignore []string) payload {
	host := h.url.Host
	if h.host != "" {
		host = h.host
	}
	return payload{
		method: h.method, host: host, path: h.url.EscapedPath(), query: h.url.RawQuery,
		contentType: h.header.Get("Content-Type"), contentEncoding: h.header.Get("Content-Encoding"),
		body: body, place: place, ignore: ignore,
	}
}

// wireRequest is what an attempt of an intent sends: the journaled head and bytes,
// the key in its place, and the credentials of the call at hand. It serves one
// attempt: what it goes through may write into the headers.
type wireRequest struct {
	head     head
	body     []byte
	place    KeyPlace
	key      string
	keyValue string // of its header, where it is in one
	asksJSON bool

	seen wire     // of the attempt
	sent sendBody // its body
}

// newWireRequest is a journaled request as it is sent.
func newWireRequest(r *Record, s secrets) (*wireRequest, error) {
	h, err := decodeHead(r.Head)
	if err != nil {
		return nil, err
	}
	return h.wire(r, s)
}

// wire puts the key into its place, which may be in the body, and the credentials
// of the call at hand back. h is the caller's no longer.
func (h head) wire(r *Record, s secrets) (w *wireRequest, err error) {
	w = &wireRequest{head: h, body: r.Payload, place: r.Terms.KeyPlace, key: r.Key, asksJSON: wantsJSON(h.header)}
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
		h.url.RawQuery = setPair(h.url.RawQuery, query, r.Key)
	case field != "":
		if w.body, err = putKey(h.header.Get("Content-Type"), r.Payload, field, r.Key); err != nil {
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
func (w *wireRequest) host() string { return w.head.url.Host }

// keepKey puts the key back, whatever Policy.Authorize did to the request.
func (w *wireRequest) keepKey(req *http.Request) {
	if name := w.place.Header(); name != "" {
		name = http.CanonicalHeaderKey(name)
		if req.Header == nil {
			req.Header = http.Header{}
		}
		req.Header[name] = []string{w.keyValue}
	}
	// A query that has it stays as it is: it may have been signed.
	if name := w.place.Query(); name != "" && req.URL.Query().Get(name) != w.key {
		req.URL.RawQuery = setPair(req.URL.RawQuery, name, w.key)
	}
}

// setPair puts name=value into a raw query in place of any that is there.
func setPair(raw, name, value string) string {
	var kept []string
	for _, pair := range strings.Split(raw, "&") {
		n, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(n); pair != "" && (err != nil || plain != name) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(append(kept, url.QueryEscape(name)+"="+url.QueryEscape(value)), "&")
}

// sendBody is a request's body that net/http cannot rewind, so that it cannot
// send the request a second time behind our back: there is no GetBody, and it is
// never nil or http.NoBody, since a bodyless request is sent again even so.
type sendBody struct{ bytes.Reader }

func (*sendBody) Close() error { return nil }

// request is the request of the attempt that is bounded by ctx.
func (w *wireRequest) request(ctx context.Context) *http.Request {
	w.sent.Reset(w.body)
	req := http.Request{
		Method: w.head.method, URL: w.head.url, Host: w.head.host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.head.header, Body: &w.sent, ContentLength: int64(len(w.body)),
	}
	return req.WithContext(ctx)
}

// replyBody is a recorded reply's body.
type replyBody struct{ bytes.Reader }

func (*replyBody) Close() error { return nil }

// response makes an http.Response out of a recorded reply.
func response(r *Reply, req *http.Request) *http.Response {
	whole := &struct { // in one piece
		resp http.Response
		body replyBody
	}{resp: http.Response{
		Status: statusLine(r.Status), StatusCode: r.Status, Proto: r.Proto, Header: r.Header.Clone(),
		ContentLength: int64(len(r.Body)), Request: req,
	}}
	resp := &whole.resp
	whole.body.Reset(r.Body)
	resp.Body = &whole.body
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	if major, minor, ok := http.ParseHTTPVersion(r.Proto); ok {
		resp.ProtoMajor, resp.ProtoMinor = major, minor
	}
	return resp
}

// statusLine is a status as http.Response.Status has it.
func statusLine(code int) string {
	if code == http.StatusOK {
		return "200 OK" // as most are
	}
	line := strconv.Itoa(code)
	if text := http.StatusText(code); text != "" {
		line += " " + text
	}
	return line
}

// retryAfter is how long the far side asks to be left alone: Retry-After in
// seconds or as a date, else RateLimit-Reset in seconds. 0: it does not say.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if v := h.Get("Retry-After"); v != "" {
		if d, ok := seconds(v); ok {
			return d
		}
		if at, err := http.ParseTime(v); err == nil {
			return max(0, at.Sub(now))
		}
	}
	d, _ := seconds(h.Get("RateLimit-Reset"))
	return d
}
