package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idem-go/idem/server"
	"github.com/stretchr/testify/require"
)

// childVariable names the part that this test binary plays when a test starts it
// again as a process that may be killed.
const childVariable = "IDEM_SERVER_CHILD"

func TestMain(m *testing.M) {
	if part := os.Getenv(childVariable); part != "" {
		play, ok := map[string]func() error{
			"sql": sqlChild, "journal": journalChild, "serve": serveChild, "pair": pairChild, "agent": agentChild,
		}[part]
		if !ok {
			fmt.Fprintln(os.Stderr, "no such part:", part)
			os.Exit(2)
		}
		if err := play(); err != nil {
			fmt.Fprintln(os.Stderr, part+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func testCtx(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func newStore(t testing.TB) *server.Store {
	t.Helper()
	s, err := server.Open(filepath.Join(t.TempDir(), "keys.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// serve puts a handler behind the middleware on a real socket. Without a Scope
// option all callers are one.
func serve(t testing.TB, s *server.Store, h http.HandlerFunc, opts ...server.Option) string {
	t.Helper()
	return serveHandler(t, wrap(t, s, h, opts...))
}

func wrap(t testing.TB, s *server.Store, h http.Handler, opts ...server.Option) http.Handler {
	t.Helper()
	once, err := server.New(s, append([]server.Option{server.SingleTenant()}, opts...)...)
	require.NoError(t, err)
	return once(h)
}

// byAccount is middleware whose callers say who they are; here nobody lies.
func byAccount(t testing.TB, s *server.Store, h http.Handler, opts ...server.Option) http.Handler {
	t.Helper()
	account := server.Scope(func(r *http.Request) string { return r.Header.Get("X-Account") })
	once, err := server.New(s, append([]server.Option{account}, opts...)...)
	require.NoError(t, err)
	return once(h)
}

func serveHandler(t testing.TB, h http.Handler) string {
	t.Helper()
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	return web.URL
}

// counter is a handler whose every run is one effect. Its reply says which.
type counter struct{ runs atomic.Int64 }

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	n := c.runs.Add(1)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Run", fmt.Sprint(n))
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"run":%d,"got":%q}`, n, body)
}

// gate is a handler that says when it began, and ends when it is let go.
type gate struct {
	counter
	began, release chan struct{}
	once           sync.Once
}

func newGate() *gate { return &gate{began: make(chan struct{}, 1000), release: make(chan struct{})} }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.began <- struct{}{}
	<-g.release
	g.counter.ServeHTTP(w, r)
}

func (g *gate) open() { g.once.Do(func() { close(g.release) }) }

// got is one reply.
type got struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
}

// newCancel is a context that a test ends.
func newCancel(req *http.Request) (context.Context, context.CancelFunc) {
	return context.WithCancel(req.Context())
}

func (g got) idem() string { return g.header.Get(server.StatusHeader) }

func (g got) replayed() bool { return g.header.Get(server.ReplayedHeader) == "true" }

// code is the stable code of a problem document.
func (g got) code(t testing.TB) string {
	t.Helper()
	require.Equal(t, "application/problem+json", g.header.Get("Content-Type"), g.body)
	var p server.Problem
	require.NoError(t, json.Unmarshal([]byte(g.body), &p), g.body)
	require.Equal(t, g.status, p.Status)
	require.Equal(t, "urn:idem:problem:"+p.Code, p.Type)
	require.NotEmpty(t, p.Title)
	require.NotEmpty(t, p.Detail)
	return p.Code
}

func newRequest(t testing.TB, method, url, key, body string, header ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(testCtx(t), method, url, strings.NewReader(body))
	require.NoError(t, err)
	if key != "" {
		req.Header.Set(server.KeyHeader, key)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return req
}

// send sends a request with a client that retries nothing.
func send(t testing.TB, req *http.Request) got {
	t.Helper()
	g, err := try(req)
	require.NoError(t, err)
	return g
}

func try(req *http.Request) (got, error) {
	req.GetBody = nil // net/http sends a request with a key again by itself
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return got{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return got{resp.StatusCode, resp.Header, resp.Trailer, string(body)}, err
}

func post(t testing.TB, url, key, body string, header ...string) got {
	t.Helper()
	return send(t, newRequest(t, http.MethodPost, url, key, body, header...))
}

// requireFirst and requireReplay are an execution, and the same reply once more.
func requireFirst(t testing.TB, g got) {
	t.Helper()
	require.Equal(t, server.StatusExecuted, g.idem(), g.body)
	require.False(t, g.replayed())
}

func requireReplay(t testing.TB, first, again got) {
	t.Helper()
	require.Equal(t, server.StatusReplayed, again.idem(), again.body)
	require.True(t, again.replayed())
	require.Equal(t, first.status, again.status)
	require.Equal(t, first.body, again.body)
	a, b := first.header.Clone(), again.header.Clone()
	for _, h := range []http.Header{a, b} {
		for _, own := range []string{server.StatusHeader, server.ReplayedHeader, "Date"} {
			h.Del(own)
		}
	}
	require.Equal(t, a, b)
}

func requireProblem(t testing.TB, g got, status int, code, idemStatus string) {
	t.Helper()
	require.Equal(t, code, g.code(t))
	require.Equal(t, status, g.status)
	require.Equal(t, idemStatus, g.idem())
	require.False(t, g.replayed())
}
