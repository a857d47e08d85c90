package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/idem-go/idem/server"
	"github.com/stretchr/testify/require"
)

// The rules in the order of the package's table: each request that the table
// names is answered as it says, and runs the handler as often as it says.
func TestEveryRule(t *testing.T) {
	t.Parallel()
	h := &counter{}
	url := serve(t, newStore(t), h.ServeHTTP)

	requireProblem(t, post(t, url, "", "{}"), 400, server.CodeKeyRequired, server.StatusRefused)
	require.Zero(t, h.runs.Load())

	first := post(t, url+"/charges", "k-1", `{"cents":500}`)
	requireFirst(t, first)
	require.Equal(t, http.StatusCreated, first.status)
	requireReplay(t, first, post(t, url+"/charges", "k-1", `{"cents":500}`))
	require.EqualValues(t, 1, h.runs.Load())

	for name, other := range map[string]*http.Request{
		"body":   newRequest(t, http.MethodPost, url+"/charges", "k-1", `{"cents":501}`),
		"path":   newRequest(t, http.MethodPost, url+"/refunds", "k-1", `{"cents":500}`),
		"query":  newRequest(t, http.MethodPost, url+"/charges?x=1", "k-1", `{"cents":500}`),
		"method": newRequest(t, http.MethodPut, url+"/charges", "k-1", `{"cents":500}`),
		"kind":   newRequest(t, http.MethodPost, url+"/charges", "k-1", `{"cents":500}`, "Content-Type", "application/merge-patch+json"),
	} {
		requireProblem(t, send(t, other), 409, server.CodeKeyMismatch, server.StatusMismatch)
		require.EqualValues(t, 1, h.runs.Load(), name)
	}

	// What only is written in another way is the same payload.
	requireReplay(t, first, post(t, url+"/charges", "k-1", "{ \"cents\" : 5e2 }\n"))

	// Every unsafe method needs a key; a safe one passes untouched, with or without.
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, "PURGE"} {
		requireProblem(t, send(t, newRequest(t, method, url, "", "")), 400, server.CodeKeyRequired, server.StatusRefused)
	}
	for _, key := range []string{"", "k-1"} {
		g := send(t, newRequest(t, http.MethodGet, url+"/charges", key, ""))
		require.Equal(t, http.StatusCreated, g.status)
		require.Empty(t, g.idem())
	}
}

// A mismatch is 422 where the option says so, under the same code.
func TestMismatchUnprocessable(t *testing.T) {
	t.Parallel()
	h := &counter{}
	url := serve(t, newStore(t), h.ServeHTTP, server.MismatchUnprocessable())
	requireFirst(t, post(t, url, "k", "1"))
	requireProblem(t, post(t, url, "k", "2"), 422, server.CodeKeyMismatch, server.StatusMismatch)
}

// Fields that are declared to change are not compared; a secret in the query is
// such a field when it is declared, and not before.
func TestIgnoredFields(t *testing.T) {
	t.Parallel()
	h := &counter{}
	url := serve(t, newStore(t), h.ServeHTTP, server.Ignore("/sent_at", "?token"))
	first := post(t, url+"/?token=a&x=1", "k", `{"cents":5,"sent_at":1}`)
	requireFirst(t, first)
	requireReplay(t, first, post(t, url+"/?token=b&x=1", "k", `{"cents":5,"sent_at":2}`))
	require.Equal(t, server.StatusMismatch, post(t, url+"/?token=a&x=2", "k", `{"cents":5,"sent_at":1}`).idem())
	require.Equal(t, server.StatusMismatch, post(t, url+"/?token=a&x=1", "k", `{"cents":6,"sent_at":1}`).idem())

	plain := serve(t, newStore(t), h.ServeHTTP)
	requireFirst(t, post(t, plain+"/?token=a", "k", `{}`))
	require.Equal(t, server.StatusMismatch, post(t, plain+"/?token=b", "k", `{}`).idem())
}

// A raw key and the same key in quotes are one key, and neither is an error.
func TestRawAndQuotedKeys(t *testing.T) {
	t.Parallel()
	h := &counter{}
	url := serve(t, newStore(t), h.ServeHTTP)
	const uuid = "8e03978e-40d5-43dd-bc93-6894a57f9324"
	first := post(t, url, `"`+uuid+`"`, "1")
	requireFirst(t, first)
	requireReplay(t, first, post(t, url, uuid, "1"))
	requireReplay(t, first, post(t, url, "  \""+uuid+"\"\t", "1"))
	requireFirst(t, post(t, url, strings.ToUpper(uuid), "1")) // keys are opaque
	require.EqualValues(t, 2, h.runs.Load())
}

// A key that cannot be one is refused, and nothing runs.
func TestBadKeys(t *testing.T) {
	t.Parallel()
	h := &counter{}
	url := serve(t, newStore(t), h.ServeHTTP, server.MaxKey(40))
	for _, key := range []string{`""`, " ", "\t"} {
		requireProblem(t, post(t, url, key, ""), 400, server.CodeKeyRequired, server.StatusRefused)
	}
	for _, key := range []string{
		strings.Repeat("k", 41), `"` + strings.Repeat("k", 41) + `"`, `"open`, `"a"b"`, `a"b`, `"a\"b"`, `a b`, `"a";p=1`, "ключ", "a\\b",
	} {
		requireProblem(t, post(t, url, key, ""), 400, server.CodeKeyInvalid, server.StatusRefused)
	}
	two := newRequest(t, http.MethodPost, url, "a", "")
	two.Header.Add(server.KeyHeader, "a")
	requireProblem(t, send(t, two), 400, server.CodeKeyInvalid, server.StatusRefused)
	require.Zero(t, h.runs.Load())
	requireFirst(t, post(t, url, strings.Repeat("k", 40), ""))
	requireFirst(t, post(t, url, `"`+strings.Repeat("q", 40)+`"`, ""))
}

// A body over the limit, cut short or read by something else before is refused;
// the key stays unseen.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	h := &counter{}
	once := wrap(t, newStore(t), h, server.MaxBody(10))
	url := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/form" {
			r.ParseForm()
		}
		if r.URL.Path == "/part" {
			r.Body.Read(make([]byte, 2))
		}
		once.ServeHTTP(w, r)
	}))
	requireProblem(t, post(t, url, "k", strings.Repeat("x", 11)), 413, server.CodeBodyTooLarge, server.StatusRefused)
	chunked := newRequest(t, http.MethodPost, url, "k", strings.Repeat("x", 11))
	chunked.ContentLength = -1
	requireProblem(t, send(t, chunked), 413, server.CodeBodyTooLarge, server.StatusRefused)

	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	requireProblem(t, post(t, url+"/form", "k", "a=1", form...), 500, server.CodeBodyRead, server.StatusRefused)
	requireProblem(t, post(t, url+"/part", "k", "a=1", form...), 500, server.CodeBodyRead, server.StatusRefused)
	chunked = newRequest(t, http.MethodPost, url+"/form", "k", "a=1", form...)
	chunked.ContentLength = -1
	requireProblem(t, send(t, chunked), 500, server.CodeBodyRead, server.StatusRefused)

	cut := rawExchange(t, url, "POST / HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\nContent-Length: 9\r\n\r\nabc")
	require.Contains(t, cut, "400 Bad Request")
	require.Contains(t, cut, server.CodeBodyIncomplete)
	require.Zero(t, h.runs.Load())
	requireFirst(t, post(t, url, "k", strings.Repeat("x", 10)))
}

// New says what is missing instead of guessing.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	_, err := server.New(s)
	require.ErrorContains(t, err, "Scope")
	require.ErrorContains(t, err, "SingleTenant")
	_, err = server.New(nil, server.SingleTenant())
	require.ErrorContains(t, err, "Store")
	for _, bad := range []server.Option{
		server.Scope(nil), server.Scope(func(*http.Request) string { return "x" }), server.Wait(0), server.Retention(0),
		server.Timeout(0), server.MaxKey(0), server.MaxBody(-1), server.MaxReply(1 << 40), server.MaxKeys(0), server.Ignore(""),
	} {
		_, err := server.New(s, server.SingleTenant(), bad)
		require.ErrorContains(t, err, "idem/server: ")
	}
	_, err = server.NewStore(nil)
	require.ErrorContains(t, err, "Journal")
	_, err = server.SameTransaction(nil, server.SQLite)
	require.ErrorContains(t, err, "database")
	_, err = server.Open("")
	require.Error(t, err)
}

// A handler knows whose key it executes; outside one there is none, and Forget
// does nothing.
func TestFromContext(t *testing.T) {
	t.Parallel()
	var id server.Identity
	var ok bool
	url := serveHandler(t, byAccount(t, newStore(t), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id, ok = server.FromContext(r.Context())
		require.Nil(t, server.Tx(r.Context()))
	})))
	requireFirst(t, post(t, url, "k", "", "X-Account", "acme"))
	require.True(t, ok)
	require.Equal(t, server.Identity{Route: "http", Scope: "acme", Key: "k"}, id)
	_, ok = server.FromContext(context.Background())
	require.False(t, ok)
	server.Forget(context.Background())
}
