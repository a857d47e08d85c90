package idem

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// wire is what the trace callbacks of one attempt saw.
type wire struct {
	asked atomic.Bool // a connection was asked for: the transport tells of what it does
	had   atomic.Bool // a connection was had: from here on something may have been written
	trace httptrace.ClientTrace
}

func (w *wire) traced(ctx context.Context) context.Context {
	w.trace.GetConn = func(string) { w.asked.Store(true) }
	w.trace.GotConn = func(httptrace.GotConnInfo) { w.had.Store(true) }
	return httptrace.WithClientTrace(ctx, &w.trace)
}

// unsent is positive proof that nothing was written: the transport tells of its
// connections, and had none. A transport that tells nothing proves nothing.
func (w *wire) unsent() bool { return w.asked.Load() && !w.had.Load() }

// exchange is what one attempt left: evidence, and the reply where there is one.
type exchange struct {
	evidence
	reply  *Reply
	full   http.Header // the reply's headers, with what is not journaled
	status int
	err    error // why there is no reply, or what was wrong with it; without URL and secrets
}

// sendOptions says how one attempt is made.
type sendOptions struct {
	base      http.RoundTripper         // what the attempt goes through
	maxReply  int64                     // the longest body that is kept, in bytes
	authorize func(*http.Request) error // signs the request, or adds credentials; nil: nothing does
	redact    []string                  // query parameters that are secrets besides the known ones

	// judge returns what a whole reply proves.
	judge func(*http.Response, *Reply) evidence
}

// send makes one attempt: one write to the wire at most, the whole reply read
// before it returns, redirects never followed. ctx bounds it.
func send(ctx context.Context, w *wireRequest, o sendOptions) (x exchange) {
	req := w.request(w.seen.traced(ctx))
	body := req.Body
	if o.authorize != nil {
		if err := o.authorize(req); err != nil {
			return exchange{evidence: evidence{finding: foundNotSent, reason: "not authorized"},
				err: fmt.Errorf("Policy.Authorize: %w", hideSecrets(err, req, w.place, o.redact))}
		}
		// Whatever it did to them: the journaled bytes, under the key.
		req.Body, req.GetBody, req.ContentLength = body, nil, int64(len(w.body))
		w.keepKey(req)
	}
	if err := ctx.Err(); err != nil {
		return exchange{evidence: evidence{finding: foundNotSent, reason: "time was up before it was sent"}, err: err}
	}
	resp, err := o.base.RoundTrip(req)
	if err != nil {
		err = hideSecrets(withoutURL(err), req, w.place, o.redact)
		if w.seen.unsent() {
			return exchange{evidence: evidence{finding: foundNotSent, reason: reasonOf(err, "no connection")}, err: err}
		}
		return exchange{evidence: evidence{finding: foundUnknown, reason: reasonOf(err, "connection lost")}, err: err}
	}
	defer resp.Body.Close()
	x.status, x.full = resp.StatusCode, resp.Header
	reply, err := readReply(resp, o.maxReply)
	if err != nil {
		err = hideSecrets(withoutURL(err), req, w.place, o.redact)
		x.evidence = evidence{finding: foundUnknown, reason: reasonOf(err, "reply cut")}
		x.err = fmt.Errorf("the reply (status %d) was cut: %w", resp.StatusCode, err)
		return x
	}
	x.reply = reply
	x.evidence = o.judge(resp, reply)
	if x.finding == foundUnknown || x.finding == foundInFlight || x.finding == foundMismatch || x.finding == foundLater {
		x.err = fmt.Errorf("the far side answered %s (%s)", resp.Status, x.reason)
		if reply.truncated() {
			x.err = fmt.Errorf("the far side answered %s with %d bytes, over the limit: raise it with WithMaxReply", resp.Status, reply.Size)
		}
	}
	return x
}

// readReply reads the whole reply. A body over the limit is read on to its end
// for its length and hash, and only what fits is kept.
func readReply(resp *http.Response, limit int64) (*Reply, error) {
	r := &Reply{Status: resp.StatusCode, Proto: resp.Proto, Header: withoutSecrets(resp.Header)}
	var err error
	switch n := resp.ContentLength; {
	case resp.Body == http.NoBody || n == 0 || (resp.Request != nil && resp.Request.Method == http.MethodHead):
		// A length without a body, as HEAD has it, says nothing about what follows.
		_, err = io.Copy(io.Discard, resp.Body)
	case n > 0 && n <= limit:
		r.Body = make([]byte, n)
		if _, err = io.ReadFull(resp.Body, r.Body); err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body) // to the end, so that the connection lives on
		}
	default:
		r.Body, err = io.ReadAll(io.LimitReader(resp.Body, limit))
	}
	if err != nil {
		return nil, err
	}
	r.Size = int64(len(r.Body))
	if r.Size < limit {
		return r, nil
	}
	h := sha256.New()
	h.Write(r.Body)
	rest, err := io.Copy(h, resp.Body)
	if err != nil {
		return nil, err
	}
	if rest > 0 {
		r.Size += rest
		r.Hash = [32]byte(h.Sum(nil))
		r.Body = nil
	}
	return r, nil
}

// truncated tells that the body was over the limit and is not kept.
func (r *Reply) truncated() bool { return r.Size > int64(len(r.Body)) }

// sendOptions returns how an attempt is made under a policy.
func (c *Client) sendOptions(w *wireRequest, p *Policy, base http.RoundTripper) sendOptions {
	return sendOptions{
		base: base, maxReply: c.maxReply, authorize: p.Authorize, redact: p.Redact,
		judge: func(resp *http.Response, reply *Reply) evidence { return judge(w.asksJSON, p.Contract, resp, reply) },
	}
}

// judge is what one whole reply proves: the contract first, then the usual table.
func judge(asksJSON bool, c Contract, resp *http.Response, reply *Reply) evidence {
	stored := c.Replayed != "" && strings.EqualFold(resp.Header.Get(c.Replayed), "true")
	e := evidence{stored: stored, reason: "http 200"}
	if resp.StatusCode != http.StatusOK {
		e.reason = "http " + strconv.Itoa(resp.StatusCode)
	}
	if reply.truncated() {
		// Nothing but its status can be read.
		e.finding = foundUnknown
		if resp.StatusCode >= 200 && resp.StatusCode < 300 {
			e.finding = usual(asksJSON, resp)
		}
		return e
	}
	switch v := c.verdict(resp, reply.Body); v {
	case ReplyDone:
		e.finding = foundDone
	case ReplyRefused:
		e.finding = foundRefused
	case ReplyLater:
		e.finding = foundLater
	case ReplyInFlight:
		e.finding, e.reason = foundInFlight, e.reason+" in flight"
	case ReplyMismatch:
		e.finding, e.reason = foundMismatch, e.reason+" mismatch"
	case ReplyUsual:
		e.finding = usual(asksJSON, resp)
	default:
		e.finding = foundUnknown
	}
	return e
}

// usual is the table for replies that the contract has no verdict for.
func usual(asksJSON bool, resp *http.Response) finding {
	switch code := resp.StatusCode; code {
	case 200, 201, 202, 204:
		if asksJSON && isHTML(resp.Header) {
			return foundUnknown // a portal or proxy answered in the server's place
		}
		return foundDone
	case 401, 403:
		return foundNotNow
	case 425, 429:
		return foundLater
	case 400, 402, 404, 405, 406, 410, 411, 413, 414, 415, 417, 421, 422, 426, 428, 431:
		return foundRefused
	}
	return foundUnknown
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

func isHTML(h http.Header) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(h.Get("Content-Type"))), "text/html")
}

// withoutURL drops what net/url puts before an error: the URL may hold secrets.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) && u.Err != nil {
		return u.Err
	}
	return err
}

// reasonOf names an error in a word or two, for the journal.
func reasonOf(err error, otherwise string) string {
	var dns *net.DNSError
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return "no such host"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return otherwise
	case errors.As(err, &op) && op.Op == "dial":
		return "no connection"
	}
	return otherwise
}
