// Package wire makes one attempt on the wire. It takes a caller's request apart and
// removes secrets from what is recorded, builds the request of an attempt from the
// record, puts the key into its place, sends it at most once, and reads the reply. It
// knows no policy and no contract: the root package passes what it needs as options.
package wire

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/journal"
)

// Exchange is the result of one attempt: its evidence, and its reply if there is one.
type Exchange struct {
	// Evidence is what the attempt proved.
	lifecycle.Evidence

	// Reply is the reply as it is recorded. nil: there is no complete reply.
	Reply *journal.Reply

	// Header holds all headers of the reply, secrets included. nil: there is no reply.
	Header http.Header

	// Status is the HTTP status. 0: there is no reply.
	Status int

	// Err is why there is no complete reply, or says what the server replied if the reply
	// leaves the intent open. It contains no URL and no secrets. nil: there is no error.
	Err error
}

// SendOptions are the options of Send.
type SendOptions struct {
	// Base sends the request. It must not be nil, retry or follow redirects.
	Base http.RoundTripper

	// MaxReply is the greatest length of a body that is kept, in bytes.
	MaxReply int64

	// Authorize signs the request or adds credentials before it is sent. If it fails,
	// nothing is sent. nil: the request is sent as it is.
	Authorize func(*http.Request) error

	// Redact lists query parameters that are secret in addition to the known ones.
	Redact []string

	// MaySend reports whether the request may still be written. Send calls it before each
	// write that it can hold up, from several goroutines, and nothing is written after it
	// has reported false. nil: the request may be written as long as ctx lasts.
	MaySend func() bool

	// Judge returns what a complete reply proves. It must not be nil.
	Judge func(*http.Response, *journal.Reply) lifecycle.Evidence
}

// Send makes one attempt. It writes the request at most once, follows no redirect, and
// reads the whole reply before it returns. ctx bounds the attempt.
func Send(ctx context.Context, w *Request, o SendOptions) (x Exchange) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req := w.HTTP(w.trace.traced(ctx, cancel, o.MaySend))
	body := req.Body
	if o.Authorize != nil {
		if err := o.Authorize(req); err != nil {
			return Exchange{Evidence: lifecycle.Evidence{Result: lifecycle.NotSent, Reason: "not authorized"},
				Err: fmt.Errorf("Policy.Authorize: %w", HideSecrets(err, req, w.place, o.Redact))}
		}
		// Undo what Authorize did to the body and the key.
		req.Body, req.GetBody, req.ContentLength = body, nil, int64(len(w.body))
		w.keepKey(req)
	}
	if err := ctx.Err(); err != nil {
		return notInTime(err)
	}
	if w.trace.timeUp() {
		return notInTime(errTimeUp)
	}
	resp, err := o.Base.RoundTrip(req)
	if w.trace.stoppedUnsent() {
		if err == nil { // a reply to nothing
			resp.Body.Close()
		}
		return notInTime(errTimeUp)
	}
	if err != nil {
		if w.trace.stopped.Load() {
			return Exchange{Evidence: lifecycle.Evidence{Result: lifecycle.Unknown, Reason: "time was up while it was sent"}, Err: errTimeUp}
		}
		err = HideSecrets(WithoutURL(err), req, w.place, o.Redact)
		if w.trace.unsent() {
			return Exchange{Evidence: lifecycle.Evidence{Result: lifecycle.NotSent, Reason: reasonOf(err, "no connection")}, Err: err}
		}
		return Exchange{Evidence: lifecycle.Evidence{Result: lifecycle.Unknown, Reason: reasonOf(err, "connection lost")}, Err: err}
	}
	defer resp.Body.Close()
	x.Status, x.Header = resp.StatusCode, resp.Header
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// The body is the connection itself: reading it would end with neither ctx nor the
		// server's reply.
		x.Evidence = lifecycle.Evidence{Result: lifecycle.Unknown, Reason: "http 101"}
		x.Err = errors.New("the server switched protocols (status 101) instead of replying: such a request cannot be an intent")
		return x
	}
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

// notInTime is the result of an attempt whose time was up before it was sent.
func notInTime(err error) Exchange {
	return Exchange{Evidence: lifecycle.Evidence{Result: lifecycle.NotSent, Reason: "time was up before it was sent"}, Err: err}
}

// readReply reads the whole reply. Of a body that is longer than limit, it keeps only
// the length and the hash.
func readReply(resp *http.Response, limit int64) (*journal.Reply, error) {
	r := &journal.Reply{Status: resp.StatusCode, Proto: resp.Proto, Header: withoutSecrets(resp.Header)}
	var err error
	switch n := resp.ContentLength; {
	case resp.Body == http.NoBody || n == 0 || (resp.Request != nil && resp.Request.Method == http.MethodHead):
		// The reply to HEAD has a Content-Length and no body.
		_, err = io.Copy(io.Discard, resp.Body)
	case n > 0 && n <= limit:
		r.Body = make([]byte, n)
		if _, err = io.ReadFull(resp.Body, r.Body); err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body) // to the end, so that the connection is used again
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

// WithoutURL returns the error inside a *url.Error, whose text has a URL that may hold
// secrets. It returns any other error as it is.
func WithoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) && u.Err != nil {
		return u.Err
	}
	return err
}

// reasonOf returns a name of an attempt's error in a few words, for the history. It
// returns otherwise if the error has no name of its own.
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
