package server_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/idem-go/idem/server"
	"github.com/stretchr/testify/require"
)

// Keys of two callers never meet: neither reads, blocks or changes the other's.
func TestTenantsAreApart(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, s *server.Store) {
		h := newGate()
		h.open()
		slow := newGate()
		url := serveHandler(t, byAccount(t, s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Slow") != "" {
				slow.ServeHTTP(w, r)
				return
			}
			h.ServeHTTP(w, r)
		})))
		t.Cleanup(slow.open)
		acme := post(t, url, "k", `{"of":"acme"}`, "X-Account", "acme")
		requireFirst(t, acme)
		zeta := post(t, url, "k", `{"of":"zeta"}`, "X-Account", "zeta")
		requireFirst(t, zeta)
		require.NotEqual(t, acme.body, zeta.body)
		requireReplay(t, acme, post(t, url, "k", `{"of":"acme"}`, "X-Account", "acme"))
		requireReplay(t, zeta, post(t, url, "k", `{"of":"zeta"}`, "X-Account", "zeta"))
		// Names that would run together are still two.
		requireFirst(t, post(t, url, "kk", "1", "X-Account", "a"))
		requireFirst(t, post(t, url, "k", "1", "X-Account", "ak"))

		// The credential may change; the caller is who it is.
		requireReplay(t, acme, post(t, url, "k", `{"of":"acme"}`, "X-Account", "acme", "Authorization", "Bearer rotated"))

		if isSQLite(t) { // one writer: what follows would wait for the slow one
			return
		}
		var wg sync.WaitGroup
		req := newRequest(t, http.MethodPost, url, "busy", "{}", "X-Account", "acme", "X-Slow", "1")
		wg.Go(func() { try(req) })
		<-slow.began
		require.Equal(t, server.StatusInFlight, post(t, url, "busy", "{}", "X-Account", "acme").idem())
		requireFirst(t, post(t, url, "busy", "{}", "X-Account", "zeta"))
		slow.open()
		wg.Wait()
	})
}

// A request without a verified caller is 401, whatever its key, and nothing runs.
func TestNobody(t *testing.T) {
	t.Parallel()
	h := &counter{}
	url := serveHandler(t, byAccount(t, newStore(t), h))
	for _, key := range []string{"", "k", `"`} {
		requireProblem(t, post(t, url, key, "{}"), 401, server.CodeNoPrincipal, server.StatusRefused)
	}
	require.Zero(t, h.runs.Load())
}

// Keys are one for all routes, or by option apart for each.
func TestRoutes(t *testing.T) {
	t.Parallel()
	h := &counter{}
	s := newStore(t)
	url := serve(t, s, h.ServeHTTP)
	requireFirst(t, post(t, url+"/charges", "k", "{}"))
	require.Equal(t, server.StatusMismatch, post(t, url+"/refunds", "k", "{}").idem())

	once, err := server.New(s, server.SingleTenant(), server.PerRoute(nil))
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("POST /charges/{id}", once(h))
	mux.Handle("POST /refunds/{id}", once(h))
	url = serveHandler(t, mux)
	requireFirst(t, post(t, url+"/charges/1", "k", "{}"))
	requireFirst(t, post(t, url+"/refunds/1", "k", "{}"))
	require.Equal(t, server.StatusMismatch, post(t, url+"/charges/2", "k", "{}").idem())

	url = serve(t, s, h.ServeHTTP, server.PerRoute(func(r *http.Request) string { return r.URL.Path[1:2] }))
	requireFirst(t, post(t, url+"/a1", "k", "{}"))
	require.Equal(t, server.StatusMismatch, post(t, url+"/a2", "k", "{}").idem())
	requireFirst(t, post(t, url+"/b1", "k", "{}"))
}

// One caller can fill only so much; keys that are known are answered as ever, and
// other callers do not notice. What was forgotten or did not begin does not count.
func TestKeysOfOneCaller(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, s *server.Store) {
		h := &counter{}
		clock := setClock(s)
		url := serveHandler(t, byAccount(t, s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Forget") != "" {
				server.Forget(r.Context())
			}
			h.ServeHTTP(w, r)
		}), server.MaxKeys(3)))
		for range 5 {
			post(t, url, "forgotten", "{}", "X-Account", "acme", "X-Forget", "1")
		}
		first := post(t, url, "k-1", "{}", "X-Account", "acme")
		requireFirst(t, first)
		for range 5 {
			requireReplay(t, first, post(t, url, "k-1", "{}", "X-Account", "acme"))
		}
		requireFirst(t, post(t, url, "k-2", "{}", "X-Account", "acme"))
		requireFirst(t, post(t, url, "k-3", "{}", "X-Account", "acme"))
		g := post(t, url, "k-4", "{}", "X-Account", "acme")
		requireProblem(t, g, 429, server.CodeTooManyKeys, server.StatusRefused)
		require.NotEmpty(t, g.header.Get("Retry-After"))
		requireReplay(t, first, post(t, url, "k-1", "{}", "X-Account", "acme"))
		require.Equal(t, server.StatusMismatch, post(t, url, "k-1", "[]", "X-Account", "acme").idem())
		requireFirst(t, post(t, url, "k-4", "{}", "X-Account", "zeta"))
		require.EqualValues(t, 9, h.runs.Load())

		clock.advance(defaultRetention + defaultRetention/10)
		requireFirst(t, post(t, url, "k-4", "{}", "X-Account", "acme"))
	})
}
