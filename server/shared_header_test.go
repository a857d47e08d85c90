package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/idem-go/idem/server"
	"github.com/stretchr/testify/require"
)

// varying is a middleware around, such as one that compresses: it adds to the
// headers as they go out.
type varying struct {
	http.ResponseWriter
	by string
}

func (w varying) WriteHeader(code int) {
	w.Header().Add("Vary", w.by)
	w.ResponseWriter.WriteHeader(code)
}

// A kept reply's headers are each caller's own: what is around the middleware may
// write into them, and changes nobody else's.
func TestRepliesShareNoHeaders(t *testing.T) {
	t.Parallel()
	h := wrap(t, newStore(t), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, v := range []string{"A", "B", "C"} {
			w.Header().Add("Vary", v)
		}
		w.WriteHeader(http.StatusOK)
	}), server.SingleTenant())
	ask := func(by string) http.Header {
		r := httptest.NewRequest(http.MethodPost, "/x", strings.NewReader("a"))
		r.Header.Set("Idempotency-Key", "key")
		w := httptest.NewRecorder()
		h.ServeHTTP(varying{w, by}, r)
		return w.Header()
	}
	for range 3 { // executed, read, kept
		one, two := ask("one"), ask("two")
		require.Equal(t, []string{"A", "B", "C", "one"}, one["Vary"])
		require.Equal(t, []string{"A", "B", "C", "two"}, two["Vary"])
	}
}
