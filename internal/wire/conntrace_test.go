package wire_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
	"github.com/idem-go/idem/internal/wire"
	"github.com/idem-go/idem/journal"
)

// send makes one attempt with a body of so many bytes.
func send(t *testing.T, ctx context.Context, url string, bytes int, o wire.SendOptions) wire.Exchange {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(strings.Repeat("x", bytes)))
	require.NoError(t, err)
	h, body, s, err := wire.Read(req, wire.ReadOptions{MaxPayload: 1 << 30})
	require.NoError(t, err)
	w, err := h.Request(&journal.Record{Key: "key-1", Payload: body}, s)
	require.NoError(t, err)
	o.MaxReply = 1 << 20
	o.Judge = func(*http.Response, *journal.Reply) lifecycle.Evidence {
		return lifecycle.Evidence{Result: lifecycle.Done, Reason: "done"}
	}
	return wire.Send(ctx, w, o)
}

// counting starts a server that counts requests.
func counting(t *testing.T, http2 bool) (s *httptest.Server, arrived *atomic.Int64) {
	arrived = &atomic.Int64{}
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived.Add(1)
		io.Copy(io.Discard, r.Body)
	}))
	if s.EnableHTTP2 = http2; http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s, arrived
}

// Once MaySend has reported false, nothing is written: wherever the transport is by
// then, and also if the body is empty and so net/http reads from it early.
func TestSend_TimeUpAfterTheConnectionIsHad_WritesNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		http2 bool
		bytes int
	}{
		"HTTP/1": {false, 100}, "HTTP/2": {true, 100}, "HTTP/1, no body": {false, 0}, "HTTP/2, no body": {true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, arrived := counting(t, test.http2)
			late := &atomic.Bool{}
			ctx := httptrace.WithClientTrace(testkit.Context(t), &httptrace.ClientTrace{ // called after the wire's own
				GotConn: func(httptrace.GotConnInfo) { late.Store(true) },
			})
			x := send(t, ctx, s.URL, test.bytes, wire.SendOptions{Base: s.Client().Transport, MaySend: func() bool { return !late.Load() }})
			require.Equal(t, lifecycle.Unknown, x.Result, "the transport may have been writing")
			require.Error(t, x.Err)
			late.Store(false)
			// HTTP/2 sends it over the same connection, behind what may have been written.
			x = send(t, testkit.Context(t), s.URL, test.bytes, wire.SendOptions{Base: s.Client().Transport})
			require.Equal(t, lifecycle.Done, x.Result)
			s.Close()
			require.EqualValues(t, 1, arrived.Load())
		})
	}
}

// TestSend_TimeUpWhileSigning_CallsNoTransport: one that reports nothing would write.
func TestSend_TimeUpWhileSigning_CallsNoTransport(t *testing.T) {
	t.Parallel()
	late := false
	x := send(t, testkit.Context(t), "http://localhost", 100, wire.SendOptions{
		MaySend:   func() bool { return !late },
		Authorize: func(*http.Request) error { late = true; return nil },
		Base: clientkit.RoundTrip(func(*http.Request) (*http.Response, error) {
			t.Error("the transport was called")
			return nil, io.EOF
		}),
	})
	require.Equal(t, lifecycle.NotSent, x.Result)
}

// TestSend_TimeUpOnASharedConnection_LeavesItToTheOthers: of HTTP/2, only the one
// request ends.
func TestSend_TimeUpOnASharedConnection_LeavesItToTheOthers(t *testing.T) {
	t.Parallel()
	s, arrived := counting(t, true)
	late, connections := &atomic.Bool{}, &atomic.Int64{}
	o := wire.SendOptions{Base: s.Client().Transport, MaySend: func() bool { return !late.Load() }}
	ctx := httptrace.WithClientTrace(testkit.Context(t), &httptrace.ClientTrace{
		ConnectDone: func(string, string, error) { connections.Add(1) },
	})
	require.Equal(t, lifecycle.Done, send(t, ctx, s.URL, 100, o).Result)
	during := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { late.Store(true) }})
	x := send(t, during, s.URL, 100, o)
	require.Equal(t, lifecycle.NotSent, x.Result)
	require.Error(t, x.Err)
	late.Store(false)
	require.Equal(t, lifecycle.Done, send(t, ctx, s.URL, 100, o).Result)
	require.EqualValues(t, 1, connections.Load())
	s.Close()
	require.EqualValues(t, 2, arrived.Load())
}

// TestSend_TimeUpInTheMiddleOfTheBody_SendsNoMore: the rest would complete the request
// too late.
func TestSend_TimeUpInTheMiddleOfTheBody_SendsNoMore(t *testing.T) {
	t.Parallel()
	late := false
	x := send(t, testkit.Context(t), "http://localhost", 100, wire.SendOptions{
		MaySend: func() bool { return !late },
		Base: clientkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
			_, err := io.ReadFull(r.Body, make([]byte, 10))
			require.NoError(t, err)
			late = true
			n, err := r.Body.Read(make([]byte, 10))
			require.Zero(t, n)
			require.Error(t, err)
			rest, err := io.Copy(io.Discard, r.Body)
			require.Zero(t, rest)
			require.Error(t, r.Context().Err(), "the attempt has ended")
			return nil, err
		}),
	})
	require.Equal(t, lifecycle.Unknown, x.Result)
	require.ErrorContains(t, x.Err, "the time for this attempt was up")
}

// TestSend_TimeUpAtAConnectionThatCannotBeBlocked_IsUnknown: a transport that hands out
// no connection, or one whose writes go on, may write all the same.
func TestSend_TimeUpAtAConnectionThatCannotBeBlocked_IsUnknown(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	t.Cleanup(func() { require.NoError(t, here.Close()); require.NoError(t, there.Close()) })
	for name, conn := range map[string]net.Conn{
		"none": nil, "writes all the same": tls.Client(here, &tls.Config{}), "deaf": deaf{here},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			late := false
			x := send(t, testkit.Context(t), "http://localhost", 100, wire.SendOptions{
				MaySend: func() bool { return !late },
				Base: clientkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
					trace := httptrace.ContextClientTrace(r.Context())
					trace.GetConn("localhost")
					late = true
					trace.GotConn(httptrace.GotConnInfo{Conn: conn})
					trace.WroteHeaders()
					_, err := r.Body.Read(make([]byte, 10))
					return nil, err
				}),
			})
			require.Equal(t, lifecycle.Unknown, x.Result)
		})
	}
}

// deaf takes no deadlines.
type deaf struct{ net.Conn }

func (deaf) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// TestSend_ServerSwitchesProtocols_EndsAtOnce: the body of such a reply is the
// connection, which ends with nothing that bounds the attempt.
func TestSend_ServerSwitchesProtocols_EndsAtOnce(t *testing.T) {
	t.Parallel()
	hijacked := make(chan net.Conn, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			hijacked <- conn
		}
	}))
	t.Cleanup(s.Close)
	x := send(t, context.Background(), s.URL, 100, wire.SendOptions{Base: s.Client().Transport})
	require.Equal(t, lifecycle.Unknown, x.Result)
	require.Equal(t, http.StatusSwitchingProtocols, x.Status)
	require.ErrorContains(t, x.Err, "101")
	conn := <-hijacked
	_, err := io.ReadAll(conn) // until the other end is closed
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}
