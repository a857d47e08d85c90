package wire_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// A header is recorded unless its name contains one of these words or its value starts
// with an authentication scheme. The shortcuts for frequent headers have the same
// result.
func TestWhichHeadersAreKept(t *testing.T) {
	t.Parallel()
	words := []string{
		"auth", "cookie", "token", "secret", "password", "passwd", "credential", "signature",
		"session", "api-key", "apikey", "access-key", "accesskey", "private-key", "dpop", "jwt",
		"subscription-key", "functions-key",
	}
	names := []string{
		"Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Accept-Ranges", "Age", "Allow", "Alt-Svc",
		"Authentication-Info", "Authorization", "Cache-Control", "Connection", "Content-Disposition", "Content-Encoding",
		"Content-Language", "Content-Length", "Content-Location", "Content-Range", "Content-Security-Policy",
		"Content-Type", "Cookie", "Date", "Digest", "Etag", "Expect", "Expires", "Forwarded", "From", "Idem-Status",
		"Idempotent-Replayed", "If-Match", "If-None-Match", "Keep-Alive", "Last-Modified", "Link", "Location", "Origin",
		"Original-Request", "Proxy-Authenticate", "Proxy-Authorization", "Ratelimit-Reset", "Referer", "Request-Id",
		"Retry-After", "Server", "Set-Cookie", "Strict-Transport-Security", "Stripe-Account", "Stripe-Should-Retry",
		"Stripe-Version", "Traceparent", "Tracestate", "Upgrade", "User-Agent", "Vary", "Via", "Warning",
		"Www-Authenticate", "X-Amz-Security-Token", "X-Correlation-Id", "X-Csrf-Token", "X-Forwarded-For",
		"X-Ratelimit-Remaining", "X-Request-Id", "X-Requested-With", "X", "Key", "Api-Keys-Used",
	}
	for _, word := range words { // at the beginning, in the middle and at the end, in any case
		names = append(names, word, "X-"+word, word+"-Id", "a"+word+"z", strings.ToUpper("x-"+word), strings.ReplaceAll(word, "-", "_"),
			word[:len(word)-1], word[1:])
	}
	values := map[string]bool{ // and whether they are credentials
		"plain": false, "": false, "Mon, 02 Jan 2006 15:04:05 GMT": false, "no-cache, no-store": false,
		"Basic": false, "basics of it": false, "digests are here": false, "by ear": false, "Bear er": false,
		"Bearer x": true, "bearer x": true, "BASIC x": true, "Digest x": true, "Negotiate x": true, "HMAC x": true, "hMac x": true,
	}
	hidden := func(name string, value bool) bool {
		plain := strings.ReplaceAll(strings.ToLower(name), "_", "-")
		for _, word := range words {
			value = value || strings.Contains(plain, word)
		}
		return value
	}
	j, err := idem.OpenJournal(testkit.NewPath(t))
	require.NoError(t, err)
	var given http.Header
	c, err := idem.New(j, idem.WithPolicy("*", idem.Policy{Contract: idem.Stripe()}), idem.WithTransport(clientkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Proto: "HTTP/1.1", Header: given, Body: io.NopCloser(strings.NewReader("{}")), ContentLength: 2, Request: r}, nil
	})))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	for value, credential := range values {
		given = http.Header{}
		want := http.Header{}
		for _, name := range names {
			given[name] = []string{"first", value}
			if !hidden(name, credential) {
				want[name] = given[name]
			}
		}
		in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge"}, testkit.NewInvoice(t, "http://api.invalid", 5))
		require.NoError(t, err)
		resp, err := in.Do(testkit.Context(t))
		require.NoError(t, err)
		require.Equal(t, given, resp.Header, "the caller gets all of them")
		r, err := j.Get(testkit.Context(t), in.Key())
		require.NoError(t, err)
		require.Equal(t, want, r.Changes[0].Reply.Header, "beside %q", value)
	}
}
