package idem_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// byteServer answers the first request with 503 and the others with 200, and says
// what each of them was, to the byte.
func byteServer(t *testing.T) (addr string, heads func() []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var mu sync.Mutex
	var seen []string
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(conn)
			var head strings.Builder
			length := 0
			for {
				line, err := r.ReadString('\n')
				if err != nil || line == "\r\n" {
					break
				}
				fmt.Sscanf(line, "Content-Length: %d", &length)
				head.WriteString(line)
			}
			body, _ := io.ReadAll(io.LimitReader(r, int64(length)))
			mu.Lock()
			seen = append(seen, head.String()+string(body))
			status := "200 OK"
			if len(seen) == 1 {
				status = "503 Service Unavailable"
			}
			mu.Unlock()
			fmt.Fprintf(conn, "HTTP/1.1 %s\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", status)
			conn.Close()
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String(), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

// Every attempt of an intent is the same request, to the byte: the first one, which
// has the caller's request at hand, and those made from the journal.
func TestEveryAttemptIsTheSameRequest(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *http.Request){
		"plain":              func(*http.Request) {},
		"no user agent":      func(r *http.Request) { r.Header["User-Agent"] = nil },
		"empty user agent":   func(r *http.Request) { r.Header["User-Agent"] = []string{""} },
		"empty list":         func(r *http.Request) { r.Header["X-Empty"] = []string{} },
		"lower case header":  func(r *http.Request) { r.Header["x-low"] = []string{"v"} },
		"empty value":        func(r *http.Request) { r.Header["X-E"] = []string{""} },
		"spaces in value":    func(r *http.Request) { r.Header["X-S"] = []string{"  v  "} },
		"two values":         func(r *http.Request) { r.Header["X-Two"] = []string{"1", "2"} },
		"raw path":           func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/a/b", "/a%2fb" },
		"opaque":             func(r *http.Request) { r.URL.Opaque = "//" + r.URL.Host + "/a%2fb" },
		"another host":       func(r *http.Request) { r.Host = "other.example" },
		"empty query":        func(r *http.Request) { r.URL.ForceQuery = true },
		"two slashes":        func(r *http.Request) { r.URL.Path = "//a//b" },
		"secret in query":    func(r *http.Request) { r.URL.RawQuery = "a=1&token=secret&b=2" },
		"credentials in URL": func(r *http.Request) { r.URL.RawQuery = "a=1"; r.SetBasicAuth("user", "word") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, heads := byteServer(t)
			c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("charge", clientkit.Stripe()))
			req, err := http.NewRequest(http.MethodPost, "http://"+addr+"/p", strings.NewReader("a=1"))
			require.NoError(t, err)
			change(req)
			_, err = c.Do(req, idem.Operation{Name: "charge", ID: "1"})
			require.NoError(t, err)
			seen := heads()
			require.Len(t, seen, 2)
			require.Equal(t, seen[0], seen[1])
		})
	}
}

// What Policy.Authorize writes into the headers, in place as well, is that attempt's
// alone, and the key is not its to change.
func TestAuthorizeWritesIntoOneAttemptOnly(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var keys, credentials []string
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		credentials = append(credentials, r.Header.Get("Authorization"))
		if len(keys) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(far.Close)
	p := clientkit.Stripe()
	p.Authorize = func(r *http.Request) error {
		r.Header["Idempotency-Key"][0] = "mine"
		r.Header["Authorization"][0] += ", signed"
		return nil
	}
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("charge", p))
	req, err := http.NewRequest(http.MethodPost, far.URL, strings.NewReader("a=1"))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer x")
	in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "1"}, req)
	require.NoError(t, err)
	_, err = in.Do(testkit.Context(t))
	require.NoError(t, err)
	for i := range 3 {
		require.Equal(t, in.Key(), keys[i])
		require.Equal(t, "Bearer x, signed", credentials[i])
	}
	require.Equal(t, "Bearer x", req.Header.Get("Authorization"), "the caller's own stay as they were")
}

// detached is how programs cut a context loose by hand: its deadline stays.
type detached struct{ context.Context }

func (detached) Done() <-chan struct{} { return nil }

func (detached) Err() error { return nil }

// Every attempt ends after its AttemptTimeout, whatever context the caller has: the
// time in which a key may be sent is counted with it.
func TestAnAttemptEndsUnderADetachedContext(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		io.WriteString(w, "{}")
	}))
	t.Cleanup(far.Close)
	var once sync.Once
	let := func() { once.Do(func() { close(release) }) }
	defer let()
	defer time.AfterFunc(20*time.Second, let).Stop() // so that what is broken fails, and does not hang
	p := clientkit.Stripe()
	p.Retry.AttemptTimeout, p.Retry.MaxAttempts = 100*time.Millisecond, 1
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("charge", p))
	parent, cancel := context.WithTimeout(testkit.Context(t), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequest(http.MethodPost, far.URL, strings.NewReader("a=1"))
	require.NoError(t, err)
	_, err = c.Do(req.WithContext(detached{parent}), idem.Operation{Name: "charge", ID: "1"})
	require.ErrorIs(t, err, idem.ErrInDoubt)
}

// A program's own code that ends its goroutine, as a test's FailNow does, leaves the
// caller with an error, never with neither reply nor error.
func TestAnEndedGoroutineIsInDoubt(t *testing.T) {
	t.Parallel()
	p := clientkit.Stripe()
	p.Authorize = func(*http.Request) error { runtime.Goexit(); return nil }
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("charge", p))
	resp, err := c.Do(testkit.NewInvoice(t, "http://api.invalid", 5).WithContext(testkit.Context(t)), idem.Operation{Name: "charge", ID: "1"})
	require.Nil(t, resp)
	require.ErrorIs(t, err, idem.ErrInDoubt)
	require.ErrorContains(t, err, "ended the goroutine")
}
