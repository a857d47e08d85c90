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

// Failed means that nothing happened. A refusal that comes after an attempt that
// may have had its effect proves nothing about that attempt: in doubt, never
// failed, whatever the refusal is. This is where naive clients lose money.

// lost is a step of a script: the connection is closed without a reply, after the
// request was read whole.
const Lost = 0

// step is one reply of a scripted server.
type Step struct {
	Status int
	Header http.Header
}

func PolicyFor(args AgentArgs) idem.Policy {
	if args.NoContract {
		return PromisesNothing()
	}
	return Stripe()
}

// The table of what Begin finds on an identity that exists, cell by cell, each
// with the same payload and with another one. Which of the promises they are
// about: one intent, one key; one key, one payload; a settled outcome never
// changes; Failed means that nothing happened.

func HoldReply() idemtest.Fault { return idemtest.Fault{Kind: idemtest.HoldReply} }

// order is the identity that most of these tests begin again and again.
func Order() idem.Operation { return idem.Operation{Name: "create_invoice", ID: "order-1"} }

// instant is a far side that answers at once, without a socket: what is measured
// is the library and its journal.
type Instant struct{ Body string }

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

// Only the living owner of an intent, or one that proved it dead, executes it; a
// stale owner's write is fenced off. A settled outcome never changes, and a proven
// success is recorded even by an owner that lost its claim.

// gated is a server whose every reply the test decides, when it likes.
type Gated struct {
	T       testing.TB
	URL     string
	Arrived chan *Held
}

// held is a request that waits for its reply.
type Held struct {
	Key, Body string
	AnswerC   chan Step
}

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

// next waits for a request.
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

func (h *Held) Reply(status int, body string) {
	h.AnswerC <- Step{Status: status, Header: http.Header{http.CanonicalHeaderKey("body"): {body}}}
}

type RoundTrip func(*http.Request) (*http.Response, error)

func (f RoundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
