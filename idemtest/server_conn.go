package idemtest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
)

type connKey struct{}

// countingListener marks each connection with its listener.
type countingListener struct {
	net.Listener
	server *Server
	name   string
	plain  bool
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, listener: l}, nil
}

// conn sees the first byte of a request before net/http does.
type conn struct {
	net.Conn
	listener *countingListener
	waiting  atomic.Bool // the reply is going out: the next byte begins a new request
}

// Read lets StaleUnread strike. It takes a single byte first, enough to tell
// an unsafe method (POST, PUT, PATCH, DELETE) from a safe one, and leaves the
// rest unread, as a server does whose idle time ran out at that moment.
func (c *conn) Read(p []byte) (int, error) {
	if c.waiting.Load() && len(p) > 1 {
		p = p[:1]
	}
	n, err := c.Conn.Read(p)
	if n == 0 || !c.waiting.CompareAndSwap(true, false) {
		return n, err
	}
	if (p[0] == 'P' || p[0] == 'D') && c.listener.server.strikeStale(c.listener.name) {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

// strikeStale records an arrival of which nothing was read, if StaleUnread is
// what comes next.
func (s *Server) strikeStale(host string) bool {
	if host != "main" {
		return false
	}
	s.mu.Lock()
	seq := len(s.arrivals) + 1
	struck := !s.closed && s.peekStaleLocked(seq)
	if struck {
		a := Arrival{
			Seq: seq, At: s.nowLocked(), Host: host, Fault: StaleUnread, Done: true,
			Note: "the connection was closed before anything of the request was read",
		}
		s.arrivals = append(s.arrivals, a)
		s.write(entry{Arrival: &a})
		s.changedLocked()
	}
	s.mu.Unlock()
	return struck
}

// connContext lets a request find its connection.
func connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, unwrap(c))
}

// connState counts connections, so that Close can wait for the last one.
func (s *Server) connState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		// Runs on the listener's goroutine, which s.wg counts: never after
		// Close has stopped waiting.
		s.wg.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.wg.Done()
	}
}

func unwrap(c net.Conn) net.Conn {
	if t, ok := c.(*tls.Conn); ok {
		return t.NetConn()
	}
	return c
}

// reset closes so that the peer gets a TCP reset instead of an orderly end.
func reset(c net.Conn) {
	c = unwrap(c)
	if inner, ok := c.(*conn); ok {
		c = inner.Conn
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
