package idem_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// A far side that asks to be left alone for a while is left alone for so long, on a
// clock of the test's own.
func TestRetryAfterIsObeyed(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		far := clientkit.RoundTrip(func(req *http.Request) (*http.Response, error) {
			at = append(at, time.Now())
			resp := &http.Response{
				StatusCode: http.StatusOK, Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {"application/json"}},
				Body: io.NopCloser(strings.NewReader(`{}`)), ContentLength: 2, Request: req,
			}
			if len(at) == 1 {
				resp.StatusCode = http.StatusTooManyRequests
				resp.Header.Set("Retry-After", "7")
			}
			return resp, nil
		})
		p := idem.Policy{Contract: idem.Stripe(), Retry: idem.Retry{MinBackoff: time.Millisecond, MaxBackoff: 2 * time.Second}}
		c, err := idem.Open(path, idem.WithPolicy("*", p), idem.WithTransport(far))
		require.NoError(t, err)
		resp, err := c.Do(testkit.NewInvoice(t, "http://api.invalid", 500), clientkit.Order())
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Len(t, at, 2)
		require.GreaterOrEqual(t, at[1].Sub(at[0]), 7*time.Second)
		require.NoError(t, c.Close())
	})
}
