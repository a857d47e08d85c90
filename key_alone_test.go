package idem_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// One intent, one key, for ever: every attempt carries the intent's key and no other,
// whatever key the caller or its SDK had put there. Nothing puts it right afterwards
// here, as it does where Policy.Authorize was called.
func TestEveryAttemptCarriesTheKeyAlone(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var sent [][]string
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, r.Header.Values("Idempotency-Key"))
		if len(sent)%3 != 0 { // two are lost
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, `{}`)
	}))
	t.Cleanup(far.Close)
	for _, contract := range []idem.Contract{idem.Stripe(), idem.IETF()} {
		mu.Lock()
		sent = nil
		mu.Unlock()
		c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", idem.Policy{Contract: contract, Retry: clientkit.Quick()}))
		req := testkit.NewInvoice(t, far.URL, 500)
		req.Header.Set("Idempotency-Key", "the-sdk's-own")
		in, err := c.Begin(testkit.Context(t), clientkit.Order(), req)
		require.NoError(t, err)
		resp, err := in.Do(testkit.Context(t))
		require.False(t, errors.Is(err, idem.ErrInDoubt), "%v", err)
		require.NoError(t, err)
		require.Equal(t, `{}`, testkit.BodyOf(t, resp))
		key := in.Key()
		if contract.Quoted {
			key = `"` + key + `"`
		}
		mu.Lock()
		require.Equal(t, [][]string{{key}, {key}, {key}}, sent, contract.Name)
		mu.Unlock()
		require.Equal(t, "the-sdk's-own", req.Header.Get("Idempotency-Key"), "the caller's request is left alone")
	}
}
