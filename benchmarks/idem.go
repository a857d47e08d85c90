package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/stripe/stripe-go/v86"

	"github.com/idem-go/idem"
)

// How many settled intents the replay subjects ask for, over and over: as many as idem keeps in memory, and more.
const (
	replayedFew  = 1_000
	replayedMany = 20_000
)

func idemEntries() []entry {
	return []entry{
		{name: "idem", label: "**idem**", group: groupIdem,
			make: func(spec) subject { return &idemSubject{host: "api.example.test", local: new(answering)} }},
		{name: "idem-replay", label: "1,000 settled intents over and over", group: groupReplay,
			make: func(spec) subject { return newReplay(replayedFew) }},
		{name: "idem-replay-many", label: "20,000 of them, more than are kept in memory", group: groupReplay,
			make: func(spec) subject { return newReplay(replayedMany) }},
		{name: "http-idem", label: "**idem**", group: groupHTTP,
			make: func(s spec) subject { return &idemSubject{host: s.Addr} }},
		{name: "http-stripe-idem", label: "stripe-go over idem's Transport", group: groupHTTP,
			make: func(s spec) subject {
				return &stripeHTTP{addr: s.Addr, wrap: idemTransport, mark: markOperation, retry: stripe.Int64(0)}
			}},
	}
}

// idemSubject is the whole library through its public face. A pair is one Client.Do of a form of payloadSize bytes
// under Stripe's contract with an ID of its own, its reply of outcomeSize bytes read whole: the request built, keyed,
// fingerprinted and journaled, sent, the reply judged and journaled. With local set, a RoundTripper in the process
// answers at once, so that what is left is idem; without, the reply comes from a server over loopback.
type idemSubject struct {
	host   string
	local  *answering
	client *idem.Client
	base   *http.Transport
}

func (s *idemSubject) Open(dir string, callers int) (err error) {
	var rt http.RoundTripper = s.local
	if s.local == nil {
		s.base = newTransport(callers)
		rt = s.base
	}
	s.client, err = openIdem(dir, rt)
	return err
}

// openIdem opens the journal of a folder, made if absent, with the settings that every run here uses.
func openIdem(dir string, rt http.RoundTripper) (*idem.Client, error) {
	return idem.Open(filepath.Join(dir, "agent.db"), idem.WithTransport(rt),
		idem.WithPolicy("charge", idem.Policy{Contract: idem.Stripe()}))
}

func (s *idemSubject) Pair(ctx context.Context, i int) error {
	return doCharge(ctx, s.client, s.host, i)
}

func doCharge(ctx context.Context, c *idem.Client, host string, i int) error {
	req, err := chargeRequest(ctx, host, i)
	if err != nil {
		return err
	}
	return readReply(c.Do(req, chargeOperation(i)))
}

func chargeOperation(i int) idem.Operation {
	return idem.Operation{Name: "charge", Scope: "benchmark", ID: fmt.Sprintf("order-%012d", i)}
}

func (s *idemSubject) Durability() string { return "checked by the library at Open" }

func (s *idemSubject) Close() error {
	if s.base != nil {
		s.base.CloseIdleConnections()
	}
	return s.client.Close()
}

// idemReplay asks again for intents that are settled. A pair is one answer from the journal; nothing is sent.
type idemReplay struct {
	idemSubject
	settled int
}

func newReplay(settled int) *idemReplay {
	return &idemReplay{idemSubject{host: "api.example.test", local: new(answering)}, settled}
}

func (s *idemReplay) Open(dir string, callers int) error {
	if err := s.idemSubject.Open(dir, callers); err != nil {
		return err
	}
	return inParallel(callers, s.settled, func(i int) error { return s.idemSubject.Pair(context.Background(), i) })
}

func (s *idemReplay) Pair(ctx context.Context, i int) error {
	return s.idemSubject.Pair(ctx, i%s.settled)
}

func (s *idemReplay) Close() error {
	var err error
	if n := s.local.count.Load(); n != int64(s.settled) {
		err = fmt.Errorf("%d requests were sent for %d settled intents", n, s.settled)
	}
	return errors.Join(err, s.idemSubject.Close())
}

// answering is a RoundTripper that answers every request in the process, at once.
type answering struct{ count atomic.Int64 }

func (a *answering) RoundTrip(req *http.Request) (*http.Response, error) {
	a.count.Add(1)
	if req.Body != nil {
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return nil, err
		}
		req.Body.Close()
	}
	h := make(http.Header, 4)
	setReplyHeader(h)
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(strings.NewReader(chargeReply())), ContentLength: outcomeSize, Request: req,
	}, nil
}

// idemTransport puts the journal under an SDK that owns its requests.
func idemTransport(dir string, base http.RoundTripper) (http.RoundTripper, func() error, error) {
	c, err := openIdem(dir, base)
	if err != nil {
		return nil, nil, err
	}
	return c.Transport(nil), c.Close, nil
}

func markOperation(ctx context.Context, i int) context.Context {
	return idem.WithOperation(ctx, chargeOperation(i))
}
