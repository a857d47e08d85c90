package idem_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// One attempt on the wire: one write at most, the same bytes and key each time, no
// redirect followed, and nothing of the caller's changed.

// arrived is one request as a far side saw it.
type arrived struct {
	Method, URI, Host, Body, Conn string
	Header                        http.Header
}

// farSide is a server that keeps what arrives, and answers the nth arrival as it
// is told.
type farSide struct {
	URL string
	mu  sync.Mutex
	all []arrived
}

func newFarSide(t testing.TB, answer func(n int, w http.ResponseWriter)) *farSide {
	f := &farSide{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("reading a request: %v", err)
		}
		f.mu.Lock()
		f.all = append(f.all, arrived{r.Method, r.RequestURI, r.Host, string(body), r.RemoteAddr, r.Header.Clone()})
		n := len(f.all)
		f.mu.Unlock()
		answer(n, w)
	}))
	t.Cleanup(s.Close)
	f.URL = s.URL
	return f
}

func (f *farSide) arrivals() []arrived {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]arrived(nil), f.all...)
}

// hangUp closes the connection without a reply.
func hangUp() { panic(http.ErrAbortHandler) }

// says answers in JSON.
func says(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", testkit.JSON)
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}

// net/http sends some requests a second time by itself when a reused connection
// dies: those with a key and GetBody, and those without a body, a GET that changes
// something too. One attempt is one write, whatever the method and body.
func TestDyingConnectionIsNotWrittenToTwice(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]func(url string) (*http.Request, error){
		"POST with a body": func(url string) (*http.Request, error) {
			return http.NewRequest(http.MethodPost, url, strings.NewReader("a=1"))
		},
		"POST without a body":   func(url string) (*http.Request, error) { return http.NewRequest(http.MethodPost, url, nil) },
		"POST with NoBody":      func(url string) (*http.Request, error) { return http.NewRequest(http.MethodPost, url, http.NoBody) },
		"DELETE without a body": func(url string) (*http.Request, error) { return http.NewRequest(http.MethodDelete, url, nil) },
		"PUT without a body":    func(url string) (*http.Request, error) { return http.NewRequest(http.MethodPut, url, nil) },
		"GET with an effect":    func(url string) (*http.Request, error) { return http.NewRequest(http.MethodGet, url, nil) },
		"OPTIONS with an effect": func(url string) (*http.Request, error) {
			return http.NewRequest(http.MethodOptions, url, nil)
		},
	} {
		for who, authorize := range map[string]func(*http.Request) error{
			"as it is": nil,
			"after an Authorize that rewinds": func(r *http.Request) error {
				r.Body, r.GetBody = http.NoBody, func() (io.ReadCloser, error) { return http.NoBody, nil }
				return nil
			},
		} {
			t.Run(name+" "+who, func(t *testing.T) {
				t.Parallel()
				f := newFarSide(t, func(n int, w http.ResponseWriter) {
					if n == 2 {
						hangUp()
					}
					says(w, 200, `{}`)
				})
				c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", idem.Policy{Retry: clientkit.Quick(), Authorize: authorize}))
				do := func(id string) error {
					req, err := request(f.URL)
					require.NoError(t, err)
					_, err = c.Do(req, idem.Operation{Name: "effect", ID: id})
					return err
				}
				require.NoError(t, do("opens the connection"))
				err := do("on the dying one")
				require.ErrorIs(t, err, idem.ErrInDoubt)
				saw := f.arrivals()
				require.Len(t, saw, 2, "one write for each attempt")
				require.Equal(t, saw[0].Conn, saw[1].Conn, "the connection was reused")
			})
		}
	}
}

// The same over HTTP/2 and on connections that die unread, on the strict server.
func TestEveryWayToDieIsOneWrite(t *testing.T) {
	t.Parallel()
	for _, kind := range []idemtest.FaultKind{
		idemtest.DropBefore, idemtest.DropAfter, idemtest.ResetUnread, idemtest.ResetBefore, idemtest.ResetAfter,
		idemtest.StaleUnread, idemtest.StaleAfter, idemtest.CutBody, idemtest.CutChunked, idemtest.WrongLength,
		idemtest.Garbage, idemtest.HugeHeaders,
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprint(kind, " tls=", secure), func(t *testing.T) {
				t.Parallel()
				var opts []idemtest.ServerOption
				if secure {
					opts = append(opts, idemtest.WithTLS())
				}
				w := clientkit.NewWorld(t, opts...)
				c := w.Open(idem.WithPolicy("*", clientkit.PromisesNothing()), idem.WithTransport(w.Server.Client().Transport))
				_, err := c.Do(w.Invoice(1), idem.Operation{Name: "charge", ID: "opens the connection"})
				require.NoError(t, err)
				require.NoError(t, w.Server.Script(idemtest.Fault{Kind: kind}))
				before := len(w.Server.Arrivals())
				_, err = c.Do(w.Invoice(2), idem.Operation{Name: "charge", ID: "dies"})
				require.ErrorIs(t, err, idem.ErrInDoubt)
				require.LessOrEqual(t, len(w.Server.Arrivals())-before, 1)
			})
		}
	}
}

// A redirect of something that changes anything is never followed: not to another
// host with the payload and the key, and not as a GET that reads as a success.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, kind := range []idemtest.FaultKind{idemtest.Redirect302, idemtest.Redirect303, idemtest.Redirect307, idemtest.Redirect307Other} {
		for name, p := range map[string]idem.Policy{"keys kept": clientkit.Stripe(), "no contract": clientkit.PromisesNothing()} {
			t.Run(kind.String()+" "+name, func(t *testing.T) {
				t.Parallel()
				w := clientkit.NewWorld(t)
				c := w.Open(idem.WithPolicy("*", p))
				require.NoError(t, w.Server.Script(idemtest.Fault{Kind: kind}))
				_, err := c.Do(w.Invoice(500), idem.Operation{Name: "charge", ID: "1"})
				if name == "no contract" {
					require.ErrorIs(t, err, idem.ErrInDoubt, "who knows who answered")
				} else {
					require.NoError(t, err, "asked again where it was sent first")
				}
				for _, a := range w.Server.Arrivals() {
					require.Equal(t, "POST /v1/invoices main", a.Method+" "+a.Path+" "+a.Host)
				}
			})
		}
	}
	t.Run("301 and 308", func(t *testing.T) {
		t.Parallel()
		for _, status := range []int{301, 308} {
			f := newFarSide(t, func(n int, w http.ResponseWriter) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
			})
			c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", clientkit.PromisesNothing()))
			_, err := c.Do(testkit.NewInvoice(t, f.URL, 1), idem.Operation{Name: "charge", ID: "1"})
			require.ErrorIs(t, err, idem.ErrInDoubt)
			require.Len(t, f.arrivals(), 1)
		}
	})
}

// The last reply is handed out, not dropped, when the attempts are used up, and the
// next call tries again under the same key.
func TestLastReplyIsKept(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
	require.NoError(t, w.Server.Script(faults(idemtest.TooMany, idemtest.TooManyBare, idemtest.TooMany, idemtest.TooManyBare)...))
	in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "1"}, w.Invoice(500))
	require.NoError(t, err)
	resp, err := in.Do(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, 429, resp.StatusCode)
	require.Contains(t, testkit.BodyOf(t, resp), "rate_limit")
	require.Equal(t, idem.Failed, in.State())
	require.Equal(t, 4, in.Attempts())

	resp, err = c.Do(w.Invoice(500), idem.Operation{Name: "charge", ID: "1"})
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	for _, a := range w.Server.Arrivals() {
		require.Equal(t, in.Key(), a.Key)
	}
	require.Len(t, w.Server.Arrivals(), 5)
}

// A reply that fails leaves its connection open for the next attempt, and for
// everybody else's.
func TestFailureClosesNoConnection(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, func(n int, w http.ResponseWriter) { says(w, map[bool]int{true: 200, false: 503}[n == 4], `{}`) })
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", clientkit.Stripe()))
	_, got := ask(t, c, testkit.NewInvoice(t, f.URL, 500), "1")
	require.NoError(t, got.Err)
	saw := f.arrivals()
	require.Len(t, saw, 4)
	for _, a := range saw {
		require.Equal(t, saw[0].Conn, a.Conn)
	}
}

// What a far side asks for is obeyed only up to a bound: a day is not slept through.
func TestRetryAfterIsCapped(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
	day := idemtest.Fault{Kind: idemtest.TooMany, RetryAfter: 24 * time.Hour}
	busy := idemtest.Fault{Kind: idemtest.Unavailable503, RetryAfter: 24 * time.Hour}
	require.NoError(t, w.Server.Script(day, busy))
	resp, err := c.Do(w.Invoice(500).WithContext(testkit.Context(t)), idem.Operation{Name: "charge", ID: "1"})
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	require.Len(t, w.Server.Arrivals(), 3)
}

// The caller's request is read and never changed, by Begin or by any attempt; what
// the caller does to it afterwards changes nothing that is sent.
func TestCallersRequestIsLeftAlone(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, func(n int, w http.ResponseWriter) {
		if n < 3 {
			hangUp()
		}
		says(w, 200, `{}`)
	})
	path := testkit.NewPath(t)
	c := clientkit.NewClient(t, path, idem.WithPolicy("*", clientkit.Stripe()))
	req := testkit.NewInvoice(t, f.URL, 500)
	req.Header["X-Note"] = []string{"first", "second"}
	req.Header.Set("Idempotency-Key", "the SDK's own")
	req.Header.Set("Host", "ignored.example")
	req.Header.Set("X-Stainless-Retry-Count", "7")
	req.URL.RawQuery = "expand=customer"
	req.URL.User = url.UserPassword("user", "pass")
	header, target, length, getBody := req.Header.Clone(), req.URL.String(), req.ContentLength, req.GetBody != nil
	in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "1"}, req)
	require.NoError(t, err)
	same := func() {
		t.Helper()
		require.Equal(t, header, req.Header)
		require.Equal(t, target, req.URL.String())
		require.Equal(t, length, req.ContentLength)
		require.Equal(t, getBody, req.GetBody != nil)
	}
	same()
	req.Header["X-Note"][1] = "changed"
	req.URL.Path, req.Method = "/changed", http.MethodPut
	header["X-Note"][1], target = "changed", req.URL.String()
	_, err = in.Do(testkit.Context(t))
	require.NoError(t, err)
	same()
	saw := f.arrivals()
	require.Len(t, saw, 3)
	for _, a := range saw {
		require.Equal(t, "POST /v1/invoices?expand=customer", a.Method+" "+a.URI)
		require.Equal(t, []string{"first", "second"}, a.Header["X-Note"])
		require.Equal(t, strings.TrimPrefix(f.URL, "http://"), a.Host)
		require.Equal(t, []string{in.Key()}, a.Header["Idempotency-Key"])
		require.Empty(t, a.Header["X-Stainless-Retry-Count"])
		require.Equal(t, "amount=500&currency=usd", a.Body)
	}
	require.Equal(t, saw[0].Header, saw[1].Header, "each attempt is the same")
	require.Equal(t, saw[0].Header, saw[2].Header)
}

// Chatter retries and fails with every log in place, in a process of its own.
func (children) Chatter(l *testkit.Link) error {
	var server string
	if err := l.Args(&server); err != nil {
		return err
	}
	var log bytes.Buffer
	for _, logger := range []*slog.Logger{nil, slog.New(slog.NewTextHandler(&log, nil))} {
		j, err := idem.OpenJournal(l.Hear())
		if err != nil {
			return err
		}
		c, err := idem.New(j, idem.WithPolicy("*", clientkit.Stripe()), idem.WithLogger(logger))
		if err != nil {
			return err
		}
		for _, id := range []string{"1", "2"} {
			req, err := testkit.InvoiceRequest(server, 500)
			if err != nil {
				return err
			}
			if _, err = c.Do(req.WithContext(context.Background()), idem.Operation{Name: "charge", ID: id}); err != nil && !errors.Is(err, idem.ErrInDoubt) {
				return err
			}
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	l.Say("%d bytes logged", min(log.Len(), 1))
	return nil
}

// Nothing is written to standard error, and nothing but to the logger that was
// given.
func TestNothingOnStderr(t *testing.T) {
	t.Parallel()
	s := clientkit.NewServer(t)
	require.NoError(t, s.Script(faults(idemtest.TooMany, idemtest.DropAfter, idemtest.NoFault, idemtest.MismatchForced,
		idemtest.Garbage, idemtest.HugeHeaders, idemtest.WrongLength)...))
	p := testkit.StartChild(t, "Chatter", s.URL())
	p.Tell(testkit.NewPath(t))
	p.Tell(testkit.NewPath(t))
	p.Expect("1 bytes logged")
	p.Wait()
	require.Empty(t, p.Stderr.String())
}
