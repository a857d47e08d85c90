//go:build unix

package idem_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// stoppedArgs is what a Stopped child does: it holds at a place of its attempt until
// its parent, which stops it meanwhile, tells it to go on.
type stoppedArgs struct {
	Path, Server, Clock string // Clock is a file with how far the wall clock is ahead
	HTTP2               bool
	Warm                bool // another intent leaves a connection to be used again
	Tool                bool // a tool's function makes the request
	Place               string
	Attempt             int // that holds
}

// holder holds its first caller.
type holder struct {
	link *testkit.Link
	once sync.Once
}

func (h *holder) hold() {
	h.once.Do(func() {
		h.link.Say("holding")
		h.link.Hear()
	})
}

// Stopped makes one call, and says how it ended and where its intent stands.
func (children) Stopped(l *testkit.Link) error {
	var args stoppedArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	h, attempt, warming := &holder{link: l}, &atomic.Int64{}, &atomic.Bool{}
	at := func(place string) {
		if place == args.Place && int(attempt.Load()) == args.Attempt && !warming.Load() {
			h.hold()
		}
	}
	base := &http.Transport{
		ForceAttemptHTTP2: args.HTTP2, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the test's own server
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			at("dial")
			return (&net.Dialer{}).DialContext(context.WithoutCancel(ctx), network, addr)
		},
	}
	p := clientkit.Stripe()
	p.Authorize = func(*http.Request) error { at("authorize"); return nil }
	c, err := idem.Open(args.Path, idem.WithPolicy("*", p),
		idem.WithClock(func() time.Time {
			text, err := os.ReadFile(args.Clock)
			ahead, parsed := time.ParseDuration(string(text))
			if err := errors.Join(err, parsed); err != nil {
				panic(err)
			}
			return time.Now().Add(ahead)
		}),
		idem.WithObserver(explosive{start: func(e idem.Event) {
			if e.Attempt > 0 {
				attempt.Store(int64(e.Attempt))
				at("start")
			}
		}}),
		idem.WithTransport(clientkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
			at("transport")
			if args.Place == "headers" {
				r = r.Clone(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{WroteHeaders: func() { at("headers") }}))
			}
			return base.RoundTrip(r)
		})))
	if err != nil {
		return err
	}
	post := func(ctx context.Context, id string) (*http.Response, error) {
		req, err := testkit.InvoiceRequest(args.Server, 500)
		if err != nil {
			return nil, err
		}
		if args.Tool {
			return (&http.Client{Transport: c.Transport(nil)}).Do(req.WithContext(ctx))
		}
		return c.Do(req, idem.Operation{Name: "create_invoice", ID: id})
	}
	called := 0
	tool, err := idem.NewTool(c, "charge", p, func(ctx context.Context, _ string, _ charge) (paid, error) {
		called++
		at("function")
		resp, err := post(ctx, "")
		if err != nil {
			return paid{}, err
		}
		return paid{resp.Status}, resp.Body.Close()
	})
	if err != nil {
		return err
	}
	if args.Warm {
		warming.Store(true)
		req, err := testkit.InvoiceRequest(args.Server+"/warm", 1)
		if err == nil {
			_, err = c.Do(req, idem.Operation{Name: "create_invoice", ID: "warm"})
		}
		if err != nil {
			return err
		}
		warming.Store(false)
	}
	if args.Tool {
		_, err = tool.Call(context.Background(), "order-1", charge{500, "visa"})
	} else {
		_, err = post(context.Background(), "order-1")
	}
	for in := range c.Intents(context.Background(), idem.Filter{ID: "order-1"}) {
		kind := "done"
		switch {
		case errors.Is(err, idem.ErrInDoubt):
			kind = "ErrInDoubt"
		case errors.Is(err, idem.ErrNotSent):
			kind = "ErrNotSent"
		}
		l.Say("%s %s, called %d times", in.State(), kind, called)
	}
	return c.Close()
}

// late is a server that loses the replies to so many requests, and counts what arrives.
type late struct {
	*httptest.Server
	mu      sync.Mutex
	lose    int
	arrived []string
}

func newLate(t *testing.T, http2 bool, lose int) *late {
	s := &late{lose: lose}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/warm") {
			io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, "{}")
			return
		}
		s.mu.Lock()
		s.arrived = append(s.arrived, r.Proto+" "+r.Header.Get("Idempotency-Key"))
		lost := len(s.arrived) <= s.lose
		s.mu.Unlock()
		io.Copy(io.Discard, r.Body)
		if lost {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, "{}")
	}))
	s.EnableHTTP2 = http2
	if http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// TestAttempt_StoppedPastTheRetention_SendsNothing: promise 8. A process that is stopped
// between the last look at the clock and the first byte sends nothing when it goes on,
// wherever it was: the intent is not sent, or, after an attempt that may have had its
// effect, in doubt.
func TestAttempt_StoppedPastTheRetention_SendsNothing(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]stoppedArgs{
		"connecting":                         {Place: "dial", Attempt: 1},
		"connecting, HTTP/2":                 {Place: "dial", Attempt: 1, HTTP2: true},
		"connecting again":                   {Place: "dial", Attempt: 2},
		"signing":                            {Place: "authorize", Attempt: 1},
		"signing again":                      {Place: "authorize", Attempt: 2},
		"before a used connection":           {Place: "transport", Attempt: 1, Warm: true},
		"before a used connection, HTTP/2":   {Place: "transport", Attempt: 1, Warm: true, HTTP2: true},
		"again before a used one, HTTP/2":    {Place: "transport", Attempt: 2, HTTP2: true},
		"headers in the buffer":              {Place: "headers", Attempt: 1},
		"before a tool's function":           {Place: "start", Attempt: 1, Tool: true},
		"in a tool's function":               {Place: "function", Attempt: 1, Tool: true},
		"a tool's write is connecting":       {Place: "dial", Attempt: 1, Tool: true},
		"a tool's write connects, HTTP/2":    {Place: "dial", Attempt: 1, Tool: true, HTTP2: true},
		"a tool's write connects again":      {Place: "dial", Attempt: 2, Tool: true},
		"before a tool's function, 2nd time": {Place: "start", Attempt: 2, Tool: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newLate(t, args.HTTP2, args.Attempt-1)
			args.Path, args.Server, args.Clock = testkit.NewPath(t), server.URL, filepath.Join(t.TempDir(), "clock")
			require.NoError(t, os.WriteFile(args.Clock, []byte("0s"), 0o600))
			p := testkit.StartChild(t, "Stopped", args)
			p.Expect("holding")
			require.NoError(t, p.Cmd.Process.Signal(syscall.SIGSTOP))
			require.NoError(t, os.WriteFile(args.Clock, []byte("48h"), 0o600)) // while it is stopped
			require.NoError(t, p.Cmd.Process.Signal(syscall.SIGCONT))
			p.Tell("go on")
			called := 0
			if args.Tool {
				called = args.Attempt
				if args.Place == "start" {
					called--
				}
			}
			want := fmt.Sprintf("failed ErrNotSent, called %d times", called)
			if args.Attempt > 1 || args.Place == "headers" {
				want = fmt.Sprintf("in doubt ErrInDoubt, called %d times", called)
			}
			p.Expect(want)
			p.Wait()
			server.Close() // waits for its handlers
			require.Len(t, server.arrived, args.Attempt-1, "%v", server.arrived)
		})
	}
}

// TestDo_OwnerStopped_IsBounded: a process that is stopped keeps its intent, and a caller
// without a deadline does not wait for it for ever.
func TestDo_OwnerStopped_IsBounded(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	require.NoError(t, w.Server.Script(clientkit.HoldReply()))
	p := w.Agent(clientkit.AgentArgs{ID: "order-1", Cents: 500})
	w.Begin(p)
	p.Tell("start")
	p.Expect("started")
	require.NoError(t, w.Server.WaitEffects(testkit.Context(t), 1))
	require.NoError(t, p.Cmd.Process.Signal(syscall.SIGSTOP))
	policy := clientkit.Stripe()
	policy.Retry = idem.Retry{MaxAttempts: 1, MinBackoff: 1, MaxBackoff: 1, AttemptTimeout: time.Millisecond}
	c := w.Open(idem.WithPolicy("create_invoice", policy), idem.WithGrace(time.Millisecond))
	_, err := c.Do(w.Invoice(500), clientkit.Order())
	require.ErrorIs(t, err, idem.ErrInDoubt, "that process may have sent it")
	require.ErrorContains(t, err, "stopped process")
	w.Server.Release()
	require.NoError(t, p.Cmd.Process.Signal(syscall.SIGCONT))
	require.Contains(t, p.Hear(), "200 ")
	require.Len(t, w.Server.Arrivals(), 1)
}
