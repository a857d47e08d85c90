package wire

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
	"sync/atomic"
	"syscall"

	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/journal"
)

// wire is what the trace callbacks of one attempt saw.
type connTrace struct {
	asked atomic.Bool // a connection was asked for: the transport tells of what it does
	had   atomic.Bool // a connection was had: from here on something may have been written
	trace httptrace.ClientTrace
}

func (w *connTrace) traced(ctx context.Context) context.Context {
	w.trace.GetConn = func(string) { w.asked.Store(true) }
	w.trace.GotConn = func(httptrace.GotConnInfo) { w.had.Store(true) }
	return httptrace.WithClientTrace(ctx, &w.trace)
}

// unsent is positive proof that nothing was written: the transport tells of its
// connections, and had none. A transport that tells nothing proves nothing.
func (w *connTrace) unsent() bool { return w.asked.Load() && !w.had.Load() }

// exchange is what one attempt left: evidence, and the reply where there is one.
type Exchange struct {
	lifecycle.Evidence
	Reply  *journal.Reply
	Header http.Header // the reply's headers, with what is not journaled
	Status int
	Err    error // why there is no reply, or what was wrong with it; without URL and secrets
}

// sendOptions says how one attempt is made.
type SendOptions struct {
	Base      http.RoundTripper         // what the attempt goes through
	MaxReply  int64                     // the longest body that is kept, in bytes
	Authorize func(*http.Request) error // signs the request, or adds credentials; nil: nothing does
	Redact    []string                  // query parameters that are secrets besides the known ones

	// judge returns what a whole reply proves.
	Judge func(*http.Response, *journal.Reply) lifecycle.Evidence
}

// send makes one attempt: one write to the wire at most, the whole reply read
// before it returns, redirects never followed. ctx bounds it.
func Send(ctx context.Context, w *Request, o SendOptions) (x Exchange) {
	req := w.HTTP(w.trace.traced(ctx))
	body := req.Body
	if o.Authorize != nil {
		if err := o.Authorize(req); err != nil {
			return Exchange{Evidence: lifecycle.Evidence{Result: lifecycle.NotSent, Reason: "not authorized"},
				Err: fmt.Errorf("Policy.Authorize: %w", HideSecrets(err, req, w.place, o.Redact))}
		}
		// Whatever it did to them: the journaled bytes, under the key.
		req.Body, req.GetBody, req.ContentLength = body, nil, int64(len(w.body))
		w.keepKey(req)
	}
	if err := ctx.Err(); err != nil {
		return Exchange{Evidence: lifecycle.Evidence{Result: lifecycle.NotSent, Reason: "time was up before it was sent"}, Err: err}
	}
	resp, err := o.Base.RoundTrip(req)
	if err != nil {
		err = HideSecrets(WithoutURL(err), req, w.place, o.Redact)
		if w.trace.unsent() {
			return Exchange{Evidence: lifecycle.Evidence{Result: lifecycle.NotSent, Reason: reasonOf(err, "no connection")}, Err: err}
		}
		return Exchange{Evidence: lifecycle.Evidence{Result: lifecycle.Unknown, Reason: reasonOf(err, "connection lost")}, Err: err}
	}
	defer resp.Body.Close()
	x.Status, x.Header = resp.StatusCode, resp.Header
	reply, err := readReply(resp, o.MaxReply)
	if err != nil {
		err = HideSecrets(WithoutURL(err), req, w.place, o.Redact)
		x.Evidence = lifecycle.Evidence{Result: lifecycle.Unknown, Reason: reasonOf(err, "reply cut")}
		x.Err = fmt.Errorf("the reply (status %d) was cut: %w", resp.StatusCode, err)
		return x
	}
	x.Reply = reply
	x.Evidence = o.Judge(resp, reply)
	if x.Result == lifecycle.Unknown || x.Result == lifecycle.InFlight || x.Result == lifecycle.Mismatch || x.Result == lifecycle.RetryLater {
		x.Err = fmt.Errorf("the far side answered %s (%s)", resp.Status, x.Reason)
		if reply.Truncated() {
			x.Err = fmt.Errorf("the far side answered %s with %d bytes, over the limit: raise it with WithMaxReply", resp.Status, reply.Size)
		}
	}
	return x
}

// readReply reads the whole reply. A body over the limit is read on to its end
// for its length and hash, and only what fits is kept.
func readReply(resp *http.Response, limit int64) (*journal.Reply, error) {
	r := &journal.Reply{Status: resp.StatusCode, Proto: resp.Proto, Header: withoutSecrets(resp.Header)}
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

// withoutURL drops what net/url puts before an error: the URL may hold secrets.
func WithoutURL(err error) error {
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
