package idem

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/idem-go/idem/internal/fingerprint"
	"github.com/idem-go/idem/internal/wire"
	"github.com/idem-go/idem/journal"
)

// samePayload compares fingerprints. Where they differ, the journaled bytes are
// fingerprinted again: the rules, or Policy.Ignore, may have changed since.
func (c *Client) samePayload(recorded, asked *journal.Record, p *Policy) bool {
	if recorded.Fingerprint == asked.Fingerprint {
		return true
	}
	if !recorded.PrunedAt.IsZero() || recorded.Terms.Tool != asked.Terms.Tool {
		return false
	}
	again, err := c.recordedPayload(recorded, p)
	return err == nil && c.fingerprint(again) == asked.Fingerprint
}

// recordedPayload is what a record's fingerprint covers, under today's policy and,
// for a tool, today's type of its input.
func (c *Client) recordedPayload(r *journal.Record, p *Policy) (fingerprint.Payload, error) {
	if r.Terms.Tool {
		input := r.Payload
		if e := c.tool(r.Operation.Name); e != nil {
			if again, err := e.decodeAgain(input); err == nil {
				input = again
			}
		}
		return toolPayload(r.Operation.Name, input, p), nil
	}
	h, err := wire.DecodeHead(r.Head)
	if err != nil {
		return fingerprint.Payload{}, err
	}
	return h.Payload(r.Payload, p.Contract.place(), p.Ignore), nil
}

// fingerprint is what the journal keeps of a payload's identity.
// With encryption it is keyed, so that a guess cannot be checked against it.
func (c *Client) fingerprint(p fingerprint.Payload) [32]byte {
	if c.mac == nil {
		return p.Fingerprint()
	}
	print := p.Fingerprint()
	h := hmac.New(sha256.New, c.mac)
	h.Write(print[:])
	return [32]byte(h.Sum(nil))
}

// toolPayload is what a tool call's fingerprint covers.
func toolPayload(name string, input []byte, p *Policy) fingerprint.Payload {
	return fingerprint.Payload{Method: "tool", Host: name, ContentType: "application/json", Body: input, Ignore: p.Ignore}
}

func (c *Client) difference(recorded, asked *journal.Record, p *Policy) string {
	if !recorded.PrunedAt.IsZero() {
		return "a field that can no longer be named, since the payload was pruned"
	}
	a, errA := c.recordedPayload(recorded, p)
	b, errB := c.recordedPayload(asked, p)
	if errA != nil || errB != nil {
		return "the request"
	}
	return fingerprint.Differ(a, b)
}

// PayloadID is the ID that the values at these JSON pointers of a tool's arguments
// make, as Policy.ID has it; empty where none of them is there. It is for adapters
// whose callers may name an ID of their own that goes before.
func (c *Client) PayloadID(args []byte, pointers ...string) string {
	return c.payloadID(pointers, "application/json", args, "")
}

// payloadID is the ID that a payload's own fields make, or otherwise, where none of
// them is there. With encryption it is keyed, as fingerprints are.
func (c *Client) payloadID(pointers []string, contentType string, body []byte, otherwise string) string {
	if len(pointers) == 0 {
		return otherwise
	}
	h := sha256.New()
	if c.mac != nil {
		h = hmac.New(sha256.New, c.mac)
	}
	if !fingerprint.HashFields(h, contentType, body, pointers) {
		return otherwise
	}
	return fmt.Sprintf("payload-%x", h.Sum(nil)[:16])
}

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
// compared. It is for the server of a contract, such as the package server,
// where req is what arrived: a host that is empty in req is not covered.
func Fingerprint(req *http.Request, body []byte, ignore ...string) (sum [32]byte, rules int) {
	p := fingerprint.Payload{
		Method: req.Method, Host: req.Host, Body: body,
		ContentType: req.Header.Get("Content-Type"), ContentEncoding: req.Header.Get("Content-Encoding"),
	}
	if p.Method == "" {
		p.Method = http.MethodGet
	}
	var queries []string
	for _, name := range ignore {
		if query, ok := strings.CutPrefix(name, "?"); ok {
			queries = append(queries, query)
		} else {
			p.Ignore = append(p.Ignore, name)
		}
	}
	if req.URL != nil {
		p.Path, p.Query = req.URL.EscapedPath(), withoutPairs(req.URL.RawQuery, queries)
		if p.Host == "" {
			p.Host = req.URL.Host
		}
	}
	return p.Fingerprint(), fingerprint.Version
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
