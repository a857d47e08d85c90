package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/hashicorp/go-retryablehttp"
	"github.com/stripe/stripe-go/v86"
)

// httpEntries send one POST over loopback and keep nothing: what an effect costs before anybody journals it.
func httpEntries() []entry {
	return []entry{
		{name: "http-net", label: "net/http, no journal", group: groupHTTP,
			make: func(s spec) subject { return &netHTTP{addr: s.Addr} }},
		{name: "http-retryable", label: "go-retryablehttp, no journal", group: groupHTTP,
			make: func(s spec) subject { return &retryableHTTP{addr: s.Addr} }},
		{name: "http-stripe", label: "stripe-go, no journal", group: groupHTTP,
			make: func(s spec) subject { return &stripeHTTP{addr: s.Addr} }},
	}
}

// newTransport keeps a connection for every caller; the default keeps two and would measure dialling.
func newTransport(callers int) *http.Transport {
	return &http.Transport{MaxIdleConns: callers, MaxIdleConnsPerHost: callers, DisableCompression: true}
}

// netHTTP is the standard library alone. A pair is one POST with a fresh key, its reply read whole.
type netHTTP struct {
	addr   string
	client *http.Client
}

func (n *netHTTP) Open(_ string, callers int) error {
	n.client = &http.Client{Transport: newTransport(callers)}
	return nil
}

func (n *netHTTP) Pair(ctx context.Context, i int) error {
	req, err := chargeRequest(ctx, n.addr, i)
	if err != nil {
		return err
	}
	req.Header.Set("Idempotency-Key", uuid.NewString())
	return readReply(n.client.Do(req))
}

func (n *netHTTP) Close() error {
	n.client.CloseIdleConnections()
	return nil
}

func chargeRequest(ctx context.Context, addr string, i int) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/v1/charges", strings.NewReader(chargeForm(i)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer sk_test_benchmark")
	return req, nil
}

// readReply reads a reply whole and checks that it is the one that was asked for.
func readReply(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || len(body) != outcomeSize {
		return fmt.Errorf("a reply of status %d and %d bytes: %.80s", resp.StatusCode, len(body), body)
	}
	return nil
}

// retryableHTTP is go-retryablehttp with its defaults, its log silenced. A pair is one POST, as with netHTTP.
type retryableHTTP struct {
	addr   string
	client *retryablehttp.Client
}

func (r *retryableHTTP) Open(_ string, callers int) error {
	r.client = retryablehttp.NewClient()
	r.client.Logger = nil
	r.client.HTTPClient = &http.Client{Transport: newTransport(callers)}
	return nil
}

func (r *retryableHTTP) Pair(ctx context.Context, i int) error {
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.addr+"/v1/charges", bytes.NewReader([]byte(chargeForm(i))))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer sk_test_benchmark")
	req.Header.Set("Idempotency-Key", uuid.NewString())
	return readReply(r.client.Do(req))
}

func (r *retryableHTTP) Close() error {
	r.client.HTTPClient.CloseIdleConnections()
	return nil
}

// stripeHTTP is Stripe's own client, with its defaults except for its log. A pair is one charge created: the
// parameters encoded, the reply decoded into its struct.
type stripeHTTP struct {
	addr   string
	wrap   func(dir string, base http.RoundTripper) (http.RoundTripper, func() error, error) // nil: none
	mark   func(ctx context.Context, i int) context.Context                                  // nil: none
	retry  *int64
	client *stripe.Client
	close  func() error
}

func (s *stripeHTTP) Open(dir string, callers int) error {
	base := newTransport(callers)
	s.close = func() error { base.CloseIdleConnections(); return nil }
	var rt http.RoundTripper = base
	if s.wrap != nil {
		wrapped, closeWrapped, err := s.wrap(dir, base)
		if err != nil {
			return err
		}
		rt = wrapped
		s.close = func() error { base.CloseIdleConnections(); return closeWrapped() }
	}
	s.client = stripe.NewClient("sk_test_benchmark", stripe.WithBackends(stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		HTTPClient:        &http.Client{Transport: rt},
		URL:               stripe.String("http://" + s.addr),
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
		MaxNetworkRetries: s.retry,
	})))
	return nil
}

func (s *stripeHTTP) Pair(ctx context.Context, i int) error {
	if s.mark != nil {
		ctx = s.mark(ctx, i)
	}
	c, err := s.client.V1Charges.Create(ctx, &stripe.ChargeCreateParams{
		Amount: stripe.Int64(500), Currency: stripe.String("usd"), Description: stripe.String(chargeText(i)),
	})
	if err != nil {
		return err
	}
	if c.ID == "" {
		return fmt.Errorf("a reply without a charge: %.80s", c.LastResponse.RawJSON)
	}
	return nil
}

func (s *stripeHTTP) Close() error { return s.close() }
