package idem_test

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

// A reply that is shorter than it says is no outcome, also where a base transport of
// the caller's own does not notice: it is in doubt, and no bytes are made up.
func TestAReplyShorterThanItSays(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", `{"id":`} {
		c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", clientkit.PromisesNothing()), idem.WithTransport(clientkit.RoundTrip(
			func(req *http.Request) (*http.Response, error) {
				return &http.Response{
					StatusCode: http.StatusOK, Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {"application/json"}},
					Body: io.NopCloser(strings.NewReader(text)), ContentLength: 15, Request: req,
				}, nil
			})))
		in, got := ask(t, c, testkit.NewInvoice(t, "http://api.invalid", 500), "1")
		require.ErrorIs(t, got.Err, idem.ErrInDoubt, "%q", text)
		require.Empty(t, in.Outcome())
	}
}
