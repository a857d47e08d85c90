package idemtest_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/idem-go/idem/idemtest"
	"github.com/stretchr/testify/require"
)

// Over HTTP/2 every fault still strikes: the stream is cut where HTTP/1 cuts
// the connection, and what needs HTTP/1's framing becomes a cut.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t, idemtest.WithTLS())
	a := newAgent(t, s)
	req, err := http.NewRequestWithContext(ctx(t), "GET", s.URL()+"/v1/charges", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer sk_test_idem")
	resp, err := a.client.Do(req)
	require.NoError(t, err)
	require.Equal(t, 2, resp.ProtoMajor)
	require.NoError(t, resp.Body.Close())
	require.True(t, strings.HasPrefix(s.URL(), "https://"))

	for _, kind := range idemtest.FaultKinds() {
		if kind == idemtest.InFlightOverlap {
			continue // its own test
		}
		key := "key-" + kind.String()
		script(t, s, idemtest.Fault{Kind: kind, Delay: time.Millisecond, Size: 1 << 20})
		first := a.create(key)
		cut := first.err != nil
		switch kind {
		case idemtest.DropBefore, idemtest.DropAfter, idemtest.ResetUnread, idemtest.ResetBefore, idemtest.ResetAfter,
			idemtest.StaleUnread, idemtest.StaleAfter, idemtest.CutBody, idemtest.CutChunked, idemtest.WrongLength,
			idemtest.Garbage, idemtest.EndlessBody:
			require.True(t, cut, "%s", kind)
		default:
			require.False(t, cut, "%s: %v", kind, first.err)
		}
		effects := s.EffectsOf(key)
		require.Equal(t, kind.Acts(), len(effects) == 1, "%s", kind)
		again := a.create(key)
		require.NoError(t, again.err)
		require.Equal(t, len(effects) == 1 || kind == idemtest.Error500Stored, again.header.Get("Idempotent-Replayed") == "true", "%s", kind)
	}
	require.Empty(t, s.Check())
}

// Mounted in another server the faults work as well; where the connection
// cannot be had, the server aborts as net/http's handlers do.
func TestMounted(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	outer := httptest.NewServer(s)
	t.Cleanup(outer.Close)
	a := newAgent(t, s)
	a.base = outer.URL
	for _, kind := range []idemtest.FaultKind{idemtest.ResetAfter, idemtest.DropAfter, idemtest.StaleUnread, idemtest.CutBody, idemtest.Garbage} {
		script(t, s, idemtest.Fault{Kind: kind})
		require.Error(t, a.create("key-"+kind.String()).err)
	}
	require.Equal(t, 200, a.create("key-1").status)
	require.Len(t, s.Effects(), 5)

	script(t, s, idemtest.Fault{Kind: idemtest.ResetAfter})
	req := httptest.NewRequest("POST", "/v1/invoices?"+invoice, nil)
	req.Header.Set("Authorization", "Bearer sk_test_idem")
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { s.ServeHTTP(httptest.NewRecorder(), req) })
	require.Len(t, s.Effects(), 6)
	require.NoError(t, s.Close())
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { s.ServeHTTP(httptest.NewRecorder(), req) })
	require.Len(t, s.Arrivals(), 7)
}

// Close ends what is held without its effect, cuts an endless reply, lets
// nobody wait for ever, leaves no goroutine, and may be called again.
func TestCloseJoinsEverything(t *testing.T) {
	// Not parallel: it looks at the goroutines of the whole process.
	s, err := idemtest.NewServer(idemtest.WithTLS(), idemtest.WithControl(), idemtest.WithStore(t.TempDir()+"/ledger"))
	require.NoError(t, err)
	plain, err := idemtest.NewServer()
	require.NoError(t, err)
	for _, server := range []*idemtest.Server{s, plain} {
		t.Cleanup(func() { _ = server.Close() }) // where the test fails half-way
		a := newAgent(t, server)
		script(t, server, idemtest.Fault{Kind: idemtest.HoldReply}, idemtest.Fault{Kind: idemtest.HoldExecution},
			idemtest.Fault{Kind: idemtest.InFlightOverlap}, idemtest.Fault{Kind: idemtest.EndlessBody})
		var calls []<-chan answer
		for i := range 4 {
			calls = append(calls, a.async("key-"+strconv.Itoa(i)))
			require.NoError(t, server.WaitArrivals(ctx(t), i+1))
		}
		waited := make(chan error, 1)
		go func() { waited <- server.WaitArrivals(ctx(t), 99) }()
		require.NoError(t, server.WaitEffects(ctx(t), 2))
		require.Equal(t, 409, (<-calls[2]).status)
		require.NoError(t, server.Close())
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-waited, idemtest.ErrServerClosed)
		for _, i := range []int{0, 1, 3} {
			require.Error(t, (<-calls[i]).err)
		}
		require.Len(t, server.Effects(), 2, "the held ones did not happen")
		for _, arrival := range server.Arrivals() {
			require.True(t, arrival.Done)
		}
	}
	// The last instructions of a goroutine come after it has reported its end:
	// give them the processor until they are through.
	var stacks string
	for range 10_000 {
		if stacks = goroutines(); stacks == "" {
			return
		}
		runtime.Gosched()
	}
	require.Empty(t, stacks)
}

// goroutines returns the stacks that run this package's server or net/http.
func goroutines() string {
	buf := make([]byte, 1<<20)
	var left []string
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "idemtest.(*Server)") || strings.Contains(stack, "net/http.(*") {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}

// The addresses that no server answers on fail as a real network does.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	a := newAgent(t, s)
	a.base = s.RefusedURL()
	require.ErrorIs(t, a.create("key-1").err, syscall.ECONNREFUSED)
	require.Equal(t, s.RefusedURL(), s.RefusedURL())

	a.base = s.NoSuchHostURL()
	var dns *net.DNSError
	require.ErrorAs(t, a.create("key-1").err, &dns)

	a.base = s.TLSBadCertURL()
	var untrusted *tls.CertificateVerificationError
	require.ErrorAs(t, a.create("key-1").err, &untrusted)
	require.Empty(t, s.Arrivals())
	// One that does not look gets through, and is seen.
	careless := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(careless.CloseIdleConnections)
	a.client = &http.Client{Transport: careless}
	require.Equal(t, 200, a.create("key-1").status)
	require.Equal(t, "bad_cert", last(t, s).Host)
}

// A reset is a reset on the wire, a drop is an orderly end.
func TestResetIsNoEOF(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	a := newAgent(t, s)
	for kind, want := range map[idemtest.FaultKind]error{
		idemtest.ResetUnread: syscall.ECONNRESET, idemtest.ResetBefore: syscall.ECONNRESET, idemtest.ResetAfter: syscall.ECONNRESET,
		idemtest.DropBefore: io.EOF, idemtest.DropAfter: io.EOF, idemtest.StaleAfter: io.EOF,
		idemtest.CutBody: io.ErrUnexpectedEOF, idemtest.CutChunked: io.ErrUnexpectedEOF, idemtest.WrongLength: io.ErrUnexpectedEOF,
	} {
		require.NoError(t, s.ScriptKey(kind.String(), idemtest.Fault{Kind: kind}))
		require.ErrorIs(t, a.create(kind.String()).err, want, "%s", kind)
	}
}

// ResetUnread reads nothing of the body: a body that would never end is no
// obstacle.
func TestResetUnreadLeavesTheBody(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	script(t, s, idemtest.Fault{Kind: idemtest.ResetUnread})
	const head = "POST /v1/charges HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk_test_idem\r\nContent-Length: 100\r\n\r\n"
	c := dial(t, s, head)
	_, err := io.ReadAll(c)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.Empty(t, last(t, s).BodyHash)

	// A client that breaks off in its body is seen, and nothing happens.
	c = dial(t, s, head+"amount=5")
	require.NoError(t, s.WaitArrivals(ctx(t), 2))
	require.NoError(t, c.(*net.TCPConn).CloseWrite())
	_, err = io.ReadAll(c)
	require.NoError(t, err)
	require.Contains(t, last(t, s).Note, "body ended early")
	require.Equal(t, "none", last(t, s).Answer())
	require.Empty(t, s.Effects())
}

// dial sends raw bytes.
func dial(t *testing.T, s *idemtest.Server, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	_, err = io.WriteString(c, text)
	require.NoError(t, err)
	return c
}

// The knobs that count bytes.
func TestByteKnobs(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	a := newAgent(t, s)
	script(t, s,
		idemtest.Fault{Kind: idemtest.CutBody, After: 5},
		idemtest.Fault{Kind: idemtest.CutChunked, After: 1 << 20}, // more than there is: all but one
		idemtest.Fault{Kind: idemtest.WrongLength, After: 4},
		idemtest.Fault{Kind: idemtest.HugeHeaders, Size: 100_000},
		idemtest.Fault{Kind: idemtest.BigBody},
		idemtest.Fault{Kind: idemtest.BigBody, Size: 3},
	)
	require.Len(t, a.create("key-1").body, 5)
	require.Len(t, a.create("key-2").body, len(s.Keys()[1].Body)-1)
	short := a.create("key-3")
	require.NoError(t, short.err, "a client cannot see a length that is too small")
	require.Equal(t, `{"id`, short.body)
	huge := a.create("key-4")
	require.Equal(t, 200, huge.status)
	require.Len(t, huge.header.Get("X-Padding-0"), 32<<10)
	require.Len(t, a.create("key-5").body, 17<<20)
	small := a.create("key-6")
	require.True(t, json.Valid([]byte(small.body)), "a size that is too small changes nothing")
}

// An endless reply goes on for as long as the client reads, and the server is
// rid of it when the client leaves.
func TestEndlessBody(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	a := newAgent(t, s)
	script(t, s, idemtest.Fault{Kind: idemtest.EndlessBody})
	req, err := http.NewRequestWithContext(ctx(t), "POST", s.URL()+"/v1/invoices?"+invoice, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer sk_test_idem")
	resp, err := a.client.Do(req)
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 20<<20))
	require.NoError(t, err)
	require.Equal(t, int64(20<<20), n)
	require.NoError(t, resp.Body.Close())
}

// Replies of 102 and 103 come before the reply itself, as raw bytes show.
func TestInformationalOnTheWire(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	script(t, s, idemtest.Fault{Kind: idemtest.Informational})
	c := dial(t, s, "POST /v1/invoices?"+invoice+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk_test_idem\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	text, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, 3, bytes.Count(text, []byte("HTTP/1.1 103 ")))
	require.Equal(t, 1, bytes.Count(text, []byte("HTTP/1.1 102 ")))
	require.Less(t, bytes.LastIndex(text, []byte(" 103 ")), bytes.Index(text, []byte("HTTP/1.1 200 ")))
}

// Start reports through the small interface what went wrong.
func TestStartReports(t *testing.T) {
	t.Parallel()
	tb := &fakeTB{}
	require.Nil(t, idemtest.Start(tb, idemtest.WithSecret("")))
	require.Contains(t, tb.fatal, "WithSecret")
	dir := t.TempDir()
	s := idemtest.Start(tb, idemtest.WithStore(dir+"/ledger"))
	require.NotNil(t, s)
	require.NoError(t, os.RemoveAll(dir))
	tb.end()
	_, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
	require.Error(t, err)
}

// fakeTB shows that Start needs no *testing.T.
type fakeTB struct {
	fatal string
	ends  []func()
}

func (f *fakeTB) Helper()             {}
func (f *fakeTB) Logf(string, ...any) {}
func (f *fakeTB) Cleanup(end func())  { f.ends = append(f.ends, end) }

func (f *fakeTB) Fatalf(text string, args ...any) {
	f.fatal = strings.TrimSpace(text)
	for _, a := range args {
		if err, ok := a.(error); ok {
			f.fatal += err.Error()
		}
	}
}

func (f *fakeTB) end() {
	for _, end := range f.ends {
		end()
	}
}
