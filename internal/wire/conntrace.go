package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// errTimeUp is the error of an attempt whose time was up before it was written whole.
var errTimeUp = errors.New("the time for this attempt was up: the process was stopped, or connecting took too long")

// connTrace observes through httptrace whether one attempt got a connection. It also
// stops an attempt that may not be sent any more: a process can be stopped for any time
// between the last look at the clock and the first byte. So connTrace looks again when
// the transport has a connection (GotConn), before HTTP/1 flushes the headers
// (WroteHeaders), before HTTP/2 writes them (Done of the context), and at each read of
// the body.
type connTrace struct {
	maySend func() bool        // nil: always
	cancel  context.CancelFunc // ends the attempt

	asked   atomic.Bool              // the transport asked for a connection, so it calls trace
	had     atomic.Bool              // the transport got one, so something may have been written
	headers atomic.Bool              // the transport has called WroteHeaders
	stopped atomic.Bool              // the time was up before everything was written
	blocked atomic.Bool              // no write to the connection has succeeded since, or can succeed
	written atomic.Bool              // stopped, and something may have been written
	conn    atomic.Pointer[net.Conn] // that HTTP/1 writes to; nil: not known
	trace   httptrace.ClientTrace
}

// traced returns ctx with the trace. A transport of net/http calls it. cancel ends ctx.
func (w *connTrace) traced(ctx context.Context, cancel context.CancelFunc, maySend func() bool) context.Context {
	w.cancel, w.maySend = cancel, maySend
	w.trace.GetConn = func(string) { w.asked.Store(true) }
	w.trace.GotConn = w.gotConn
	ctx = httptrace.WithClientTrace(ctx, &w.trace)
	if maySend == nil {
		return ctx
	}
	w.trace.WroteHeaders = w.wroteHeaders
	return &sendContext{ctx, w}
}

// unsent reports whether it is proven that nothing was written: the transport calls the
// trace and got no connection. A transport that does not call it proves nothing.
func (w *connTrace) unsent() bool { return w.asked.Load() && !w.had.Load() }

// stoppedUnsent reports whether the attempt was stopped before anything was written.
func (w *connTrace) stoppedUnsent() bool { return w.stopped.Load() && !w.written.Load() }

// timeUp reports whether nothing more may be written.
func (w *connTrace) timeUp() bool { return w.maySend != nil && !w.maySend() }

// gotConn stops the attempt before its first byte. It returns no error to the
// transport. Ending the context is enough for HTTP/2, which looks at the context before
// it writes the headers. HTTP/1 does not, so its connection, which no other request
// uses, gets a write deadline in the past.
func (w *connTrace) gotConn(info httptrace.GotConnInfo) {
	w.had.Store(true)
	http2 := isHTTP2(info.Conn)
	if !w.timeUp() {
		if w.maySend != nil && info.Conn != nil && !http2 {
			w.conn.Store(&info.Conn)
		}
		return
	}
	switch {
	case http2:
	case block(info.Conn):
		w.blocked.Store(true)
	default:
		w.written.Store(true)
	}
	w.stopped.Store(true)
	w.cancel()
}

// wroteHeaders is called by HTTP/1 when the headers are in its buffer, and by HTTP/2
// when they are written. Of longer headers than the buffer, a part is written by then.
func (w *connTrace) wroteHeaders() {
	w.headers.Store(true)
	if w.blocked.Load() || !w.stopped.Load() && !w.timeUp() {
		return
	}
	if c := w.conn.Load(); c != nil {
		block(*c)
	}
	w.stop()
}

// mayRead is called before the transport reads from the body. HTTP/1 reads after the
// headers are written, or, to see whether an empty body is empty, before that.
func (w *connTrace) mayRead() error {
	switch {
	case w.stopped.Load():
		if !w.blocked.Load() || w.headers.Load() {
			w.written.Store(true)
		}
	case w.timeUp():
		w.stop()
	default:
		return nil
	}
	return errTimeUp
}

// stop ends an attempt of which something may have been written.
func (w *connTrace) stop() {
	w.written.Store(true)
	w.stopped.Store(true)
	w.cancel()
}

// isHTTP2 reports whether a connection speaks HTTP/2 by TLS.
func isHTTP2(c net.Conn) bool {
	t, ok := c.(interface{ ConnectionState() tls.ConnectionState })
	return ok && t.ConnectionState().NegotiatedProtocol == "h2"
}

// block makes every further write to a connection fail, and reports whether it did.
func block(c net.Conn) bool { return c != nil && c.SetWriteDeadline(time.Unix(1, 0)) == nil }

// sendContext is the context of an attempt. HTTP/2 calls Done as the last thing before
// it writes the headers, also after it has waited for one of the connection's streams.
type sendContext struct {
	context.Context
	trace *connTrace
}

// Done ends the context if the headers are still to be written and the time is up.
func (c *sendContext) Done() <-chan struct{} {
	if w := c.trace; w.had.Load() && !w.headers.Load() && !w.stopped.Load() && w.timeUp() {
		w.stop() // another goroutine may be writing
	}
	return c.Context.Done()
}
