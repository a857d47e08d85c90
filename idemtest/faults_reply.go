package idemtest

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// instead makes the reply of the kinds that keep a request from the server
// proper. False: the server handles it.
func (x *exchange) instead() (*reply, bool) {
	rep := &reply{none: true}
	switch x.fault.Kind {
	case DropBefore, StaleUnread, ResetBefore:
	case TooMany, TooManyBare:
		rep = apiError(429, "invalid_request_error", "", "rate_limit", "Request rate limit exceeded.")
		x.retryAfter(rep, x.fault.Kind == TooMany)
	case Error500Before:
		rep = serverError()
	case Unavailable503:
		rep = apiError(503, "api_error", "", "", "The service is temporarily unavailable.")
		x.retryAfter(rep, true)
	case InFlightForced:
		rep = inUse(x.key)
	case MismatchForced:
		rep = mismatch(x.key)
	case Unauthorized401:
		rep = apiError(401, "invalid_request_error", "", "", "Invalid API Key provided.")
	case Forbidden403:
		rep = apiError(403, "invalid_request_error", "", "", "The provided key does not have access to this account.")
	case RequestTimeout408:
		rep = apiError(408, "api_error", "", "", "The request took too long to arrive.")
		x.close = true // what RFC 9110, 15.5.9 asks for
	case TooEarly425:
		rep = apiError(425, "api_error", "", "", "Too early to process this request.")
	case Proxy502Before:
		rep = htmlPage(502, "502 Bad Gateway")
	case CaptivePortal:
		rep = htmlPage(200, "Sign in to the guest network")
	case Redirect307:
		rep = x.redirect(307, "")
	case Redirect307Other:
		rep = x.redirect(307, x.s.OtherURL())
	case Redirect302:
		rep = x.redirect(302, "")
	case Redirect303:
		rep = x.redirect(303, "")
	default:
		return nil, false
	}
	return rep, true
}

func (x *exchange) retryAfter(rep *reply, said bool) {
	if said {
		seconds := (x.fault.RetryAfter + time.Second - 1) / time.Second
		rep.header.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
}

func (x *exchange) redirect(status int, base string) *reply {
	rep := htmlPage(status, strconv.Itoa(status)+" "+http.StatusText(status))
	rep.header.Set("Location", base+x.r.URL.RequestURI())
	return rep
}

// deliver enters the reply into the ledger and sends it, spoilt as the fault
// says.
func (x *exchange) deliver(rep *reply) {
	if rep.none {
		x.silent(rep, x.fault.Kind == ResetBefore)
		return
	}
	if rep.header.Get("Request-Id") == "" && rep.header.Get("Content-Type") == "application/json" {
		rep.header.Set("Request-Id", "req_"+strconv.Itoa(x.seq))
	}
	switch x.fault.Kind {
	case DropAfter, StaleAfter:
		x.silent(rep, false)
	case ResetAfter:
		x.silent(rep, true)
	case SlowReply, HoldReply:
		f := x.fault
		if f.Kind == SlowReply && f.Delay == 0 {
			f.Delay = 100 * time.Millisecond
		}
		if !x.s.hold(f, x.release) {
			rep.note = "the server closed while the reply was held"
			x.silent(rep, false)
			return
		}
		x.send(rep)
	case Proxy502After:
		x.send(x.covered(rep, htmlPage(502, "502 Bad Gateway")))
	case GatewayTime504:
		x.send(x.covered(rep, htmlPage(504, "504 Gateway Time-out")))
	case CutBody, CutChunked:
		x.cut(rep)
	case WrongLength:
		x.wrongLength(rep)
	case Garbage:
		x.garbage(rep)
	case HugeHeaders:
		x.hugeHeaders(rep)
	case EndlessBody:
		x.endless(rep)
	case Informational:
		x.informational(rep)
	case Trailers:
		x.trailers(rep)
	default:
		x.send(rep)
	}
}

// covered is a proxy's page in place of the server's reply; the ledger keeps
// what the server did.
func (x *exchange) covered(rep, page *reply) *reply {
	page.did, page.effect = rep.did, rep.effect
	return page
}

// silent closes the connection without a reply.
func (x *exchange) silent(rep *reply, byReset bool) {
	x.answer(rep, 0)
	x.abort(byReset)
}

// abort cuts the connection; over HTTP/2, where it carries other requests too,
// the stream.
func (x *exchange) abort(byReset bool) {
	if !byReset {
		panic(http.ErrAbortHandler)
	}
	c, _, err := x.rc.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	reset(c)
}

// begin enters the reply into the ledger and copies its headers. From here on
// the client may send its next request.
func (x *exchange) begin(rep *reply) {
	if !x.answer(rep, rep.status) {
		x.abort(false) // does not return
	}
	h := x.w.Header()
	for name, values := range rep.header {
		h[name] = values
	}
	if x.close {
		h.Set("Connection", "close")
	}
	if x.conn != nil && x.whole {
		x.conn.waiting.Store(true)
	}
}

// send is the reply as it should be.
func (x *exchange) send(rep *reply) {
	x.begin(rep)
	x.w.Header().Set("Content-Length", strconv.Itoa(len(rep.body)))
	x.w.WriteHeader(rep.status)
	x.write(rep.body)
}

// write ignores the error of a client that has left: the ledger says what was
// sent.
func (x *exchange) write(b []byte) { _, _ = x.w.Write(b) }

func (x *exchange) flush() { _ = x.rc.Flush() }

func (x *exchange) cut(rep *reply) {
	after := x.fault.After
	if after == 0 {
		after = len(rep.body) / 2
	}
	after = max(min(after, len(rep.body)-1), 0)
	x.begin(rep)
	if x.fault.Kind == CutBody {
		// One more than nothing where the body is empty: something must miss.
		x.w.Header().Set("Content-Length", strconv.Itoa(max(len(rep.body), 1)))
	}
	x.w.WriteHeader(rep.status)
	x.flush() // without a length, this makes net/http send chunks
	x.write(rep.body[:after])
	x.flush()
	x.abort(false)
}

func (x *exchange) wrongLength(rep *reply) {
	said := x.fault.After
	if said == 0 {
		said = len(rep.body) + 10
	}
	if x.r.ProtoMajor != 1 {
		x.silent(rep, false)
		return
	}
	x.raw(rep, func(b *bytes.Buffer) {
		fmt.Fprintf(b, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %d\r\n", rep.status, http.StatusText(rep.status), said)
		_ = rep.header.Write(b) // a buffer takes everything
		b.WriteString("\r\n")
		b.Write(rep.body)
	}, rep.status)
}

func (x *exchange) garbage(rep *reply) {
	x.raw(rep, func(b *bytes.Buffer) { b.WriteString("\x00\x7f not a reply \xff\xfe\r\n\r\n") }, 0)
}

// raw sends bytes that net/http would not, and closes. Over HTTP/2 the stream
// is cut instead.
func (x *exchange) raw(rep *reply, text func(*bytes.Buffer), status int) {
	if x.r.ProtoMajor != 1 {
		status = 0
	}
	if !x.answer(rep, status) {
		x.abort(false) // does not return
	}
	c, _, err := x.rc.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	var b bytes.Buffer
	text(&b)
	_, _ = c.Write(b.Bytes())
	_ = c.Close()
}

func (x *exchange) hugeHeaders(rep *reply) {
	size := x.fault.Size
	if size == 0 {
		size = 11 << 20
	}
	x.begin(rep)
	const each = 32 << 10
	for i := 0; size > 0; i++ {
		x.w.Header().Set("X-Padding-"+strconv.Itoa(i), strings.Repeat("x", min(size, each)))
		size -= each
	}
	x.w.Header().Set("Content-Length", strconv.Itoa(len(rep.body)))
	x.w.WriteHeader(rep.status)
	x.write(rep.body)
}

// endless writes until the client leaves, the server closes, or Size is
// reached.
func (x *exchange) endless(rep *reply) {
	x.begin(rep)
	x.w.WriteHeader(rep.status)
	x.write([]byte(`{"id":"endless","padding":"`))
	chunk := bytes.Repeat([]byte("x"), 16<<10)
	for sent := 0; x.fault.Size == 0 || sent < x.fault.Size; sent += len(chunk) {
		if _, err := x.w.Write(chunk); err != nil {
			break
		}
		select {
		case <-x.s.done:
			x.abort(false)
		default:
		}
	}
	x.flush()
	x.abort(false)
}

func (x *exchange) informational(rep *reply) {
	x.begin(rep)
	h := x.w.Header()
	h.Set("Link", "</style.css>; rel=preload")
	x.w.WriteHeader(http.StatusEarlyHints)
	x.w.WriteHeader(http.StatusEarlyHints)
	x.w.WriteHeader(http.StatusProcessing)
	x.w.WriteHeader(http.StatusEarlyHints)
	h.Del("Link")
	h.Set("Content-Length", strconv.Itoa(len(rep.body)))
	x.w.WriteHeader(rep.status)
	x.write(rep.body)
}

func (x *exchange) trailers(rep *reply) {
	x.begin(rep)
	h := x.w.Header()
	h.Set("Trailer", "X-Body-Sha256")
	x.w.WriteHeader(rep.status)
	x.write(rep.body)
	h.Set("X-Body-Sha256", hashBytes(rep.body))
}
