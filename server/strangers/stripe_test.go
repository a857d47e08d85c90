package strangers_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idem-go/idem/server"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v86"
)

// shop answers like Stripe's API where stripe-go asks for customers.
type shop struct {
	made atomic.Int64
	mu   sync.Mutex
	keys []string
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, _ := server.FromContext(r.Context())
	s.mu.Lock()
	s.keys = append(s.keys, id.Key)
	s.mu.Unlock()
	if err := r.ParseForm(); err != nil || r.PostForm.Get("email") == "" {
		server.Forget(r.Context())
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"error":{"type":"invalid_request_error","message":"email is missing"}}`)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"id":"cus_%d","object":"customer","email":%q}`, s.made.Add(1), r.PostForm.Get("email"))
}

// lossy executes each request and loses as many replies as it is told to.
type lossy struct {
	next http.Handler
	lose atomic.Int64
	seen atomic.Int64
}

func (l *lossy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.seen.Add(1)
	if l.lose.Add(-1) < 0 {
		l.next.ServeHTTP(w, r)
		return
	}
	l.next.ServeHTTP(httptest.NewRecorder(), r)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

func newShop(t *testing.T) (*stripe.Client, *lossy, *shop) {
	t.Helper()
	store, err := server.Open(filepath.Join(t.TempDir(), "keys.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	once, err := server.New(store, server.Scope(func(r *http.Request) string {
		if r.Header.Get("Authorization") != "Bearer sk_test_123" {
			return ""
		}
		return "acct_1"
	}))
	require.NoError(t, err)
	s := &shop{}
	l := &lossy{next: once(s)}
	web := httptest.NewServer(l)
	t.Cleanup(web.Close)
	backends := stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		URL: stripe.String(web.URL), MaxNetworkRetries: stripe.Int64(3), LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
	return stripe.NewClient("sk_test_123", stripe.WithBackends(backends)), l, s
}

// stripe-go makes a key of its own for each call and sends it again with each
// retry: lost replies make one effect, and the call gets the first reply.
func TestStripeGo(t *testing.T) {
	t.Parallel()
	c, l, s := newShop(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for i := range 3 {
		l.lose.Store(int64(i))
		got, err := c.V1Customers.Create(ctx, &stripe.CustomerCreateParams{Email: stripe.String(fmt.Sprintf("%d@example.com", i))})
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("cus_%d", i+1), got.ID)
		require.EqualValues(t, i+1, s.made.Load())
		require.Equal(t, i > 0, got.LastResponse.Header.Get(server.ReplayedHeader) == "true")
	}
	require.EqualValues(t, 6, l.seen.Load())
	require.Len(t, s.keys, 3)
}

// A key of the caller's own: another payload under it is an error that names the
// status, and makes no effect; a mended request may use it after a refusal.
func TestStripeGoWithItsCallersKey(t *testing.T) {
	t.Parallel()
	c, _, s := newShop(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	create := func(email string) (*stripe.Customer, error) {
		params := &stripe.CustomerCreateParams{}
		if email != "" {
			params.Email = stripe.String(email)
		}
		params.SetIdempotencyKey("order-1")
		return c.V1Customers.Create(ctx, params)
	}
	_, err := create("")
	require.ErrorContains(t, err, "email is missing")
	first, err := create("a@example.com")
	require.NoError(t, err)
	again, err := create("a@example.com")
	require.NoError(t, err)
	require.Equal(t, first.ID, again.ID)
	_, err = create("b@example.com")
	require.Error(t, err)
	require.EqualValues(t, 1, s.made.Load())
}

// Whoever is not verified is told so before anything else.
func TestNobody(t *testing.T) {
	t.Parallel()
	_, l, s := newShop(t)
	web := httptest.NewServer(l)
	defer web.Close()
	resp, err := http.Post(web.URL+"/v1/customers", "application/x-www-form-urlencoded", bytes.NewBufferString("email=a"))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	require.Zero(t, s.made.Load())
}
