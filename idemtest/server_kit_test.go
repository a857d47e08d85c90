package idemtest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/idem-go/idem/idemtest"
	"github.com/stretchr/testify/require"
)

// answer is what a client saw: a whole reply, or the error it met, which may
// come after the status and some of the body.
type answer struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
	err     error
}

func (a answer) wholeReply() bool { return a.err == nil }

// agent is a plain net/http client of one server.
type agent struct {
	t      *testing.T
	client *http.Client
	base   string
	secret string
}

func newAgent(t *testing.T, s *idemtest.Server) *agent {
	return &agent{t: t, client: s.Client(), base: s.URL(), secret: "sk_test_idem"}
}

// send makes the request with a body that net/http cannot send twice by
// itself, so that one call is one arrival.
func (a *agent) send(method, path, key, body string) answer {
	a.t.Helper()
	return a.sendAs(method, path, key, body, "application/x-www-form-urlencoded")
}

func (a *agent) sendAs(method, path, key, body, contentType string) answer {
	a.t.Helper()
	req, err := http.NewRequestWithContext(ctx(a.t), method, a.base+path, nil)
	require.NoError(a.t, err)
	if body != "" {
		req.Body = io.NopCloser(strings.NewReader(body))
		req.ContentLength = int64(len(body))
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Authorization", "Bearer "+a.secret)
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	return a.do(req)
}

func (a *agent) do(req *http.Request) answer {
	resp, err := a.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	out := answer{status: resp.StatusCode, header: resp.Header}
	body, err := io.ReadAll(resp.Body)
	out.body, out.err = string(body), errors.Join(err, resp.Body.Close())
	out.trailer = resp.Trailer
	return out
}

const invoice = "amount=500&currency=usd&metadata[order]=1234"

func (a *agent) create(key string) answer {
	a.t.Helper()
	return a.send("POST", "/v1/invoices", key, invoice)
}

// ctx ends a test that would wait for ever; nothing is asserted about it.
func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return c
}

func script(t *testing.T, s *idemtest.Server, faults ...idemtest.Fault) {
	t.Helper()
	require.NoError(t, s.Script(faults...))
}

func form(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

// last is the newest arrival.
func last(t *testing.T, s *idemtest.Server) idemtest.Arrival {
	t.Helper()
	all := s.Arrivals()
	require.NotEmpty(t, all)
	return all[len(all)-1]
}
