package clientkit

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"

	"github.com/idem-go/idem/internal/testkit"
)

// Lost is a step of a script: the connection is closed without a reply, after the
// request was read whole.
const Lost = 0

// Step is one reply of a scripted server.
type Step struct {
	Status int
	Header http.Header
}

// PolicyFor returns the policy that an Agent with args uses.
func PolicyFor(args AgentArgs) idem.Policy {
	if args.NoContract {
		return PromisesNothing()
	}
	return Stripe()
}

// HoldReply returns the fault of a server that executes a request and holds its reply.
func HoldReply() idemtest.Fault { return idemtest.Fault{Kind: idemtest.HoldReply} }

// Order is the identity that most of these tests begin again and again.
func Order() idem.Operation { return idem.Operation{Name: "create_invoice", ID: "order-1"} }

// Instant is a server that replies at once, without a socket: what is measured
// is the library and its journal.
type Instant struct{ Body string }

// RoundTrip implements http.RoundTripper.
func (i Instant) RoundTrip(req *http.Request) (*http.Response, error) {
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil {
		trace.GetConn(req.URL.Host)
		trace.GotConn(httptrace.GotConnInfo{})
	}
	io.Copy(io.Discard, req.Body)
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   io.NopCloser(strings.NewReader(i.Body)), ContentLength: int64(len(i.Body)), Request: req,
	}, nil
}

// Gated is a server whose every reply the test decides, when it likes.
type Gated struct {
	T       testing.TB
	URL     string
	Arrived chan *Held
}

// Held is a request that waits for its reply.
type Held struct {
	Key, Body string
	AnswerC   chan Step
}

// NewGated starts a Gated, which is closed when the test ends.
func NewGated(t testing.TB) *Gated {
	g := &Gated{T: t, Arrived: make(chan *Held, 64)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		h := &Held{Key: r.Header.Get("Idempotency-Key"), Body: string(body), AnswerC: make(chan Step, 1)}
		g.Arrived <- h
		select {
		case <-r.Context().Done():
		case now := <-h.AnswerC:
			if now.Status == Lost {
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(now.Status)
			fmt.Fprint(w, now.Header.Get("body"))
		}
	}))
	t.Cleanup(s.Close)
	g.URL = s.URL
	return g
}

// Next waits for a request.
func (g *Gated) Next() *Held {
	g.T.Helper()
	select {
	case h := <-g.Arrived:
		return h
	case <-testkit.Context(g.T).Done():
		require.FailNow(g.T, "nothing arrived")
		return nil
	}
}

// Reply sends the reply. The status Lost closes the connection instead.
func (h *Held) Reply(status int, body string) {
	h.AnswerC <- Step{Status: status, Header: http.Header{http.CanonicalHeaderKey("body"): {body}}}
}

// RoundTrip is a function as an http.RoundTripper.
type RoundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f RoundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
