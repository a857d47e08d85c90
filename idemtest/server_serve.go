package idemtest

import (
	"io"
	"net/http"
	"strconv"
	"strings"
)

// exchange is one request on its way through the server.
type exchange struct {
	call
	s     *Server
	w     http.ResponseWriter
	r     *http.Request
	rc    *http.ResponseController
	conn  *conn // nil where the server is mounted elsewhere, or on TLS
	whole bool  // the body was read to its end
	close bool  // the reply ends the connection
}

// ServeHTTP serves one request, so that the server can be mounted in another
// one. A fault that cuts the connection panics with http.ErrAbortHandler where
// it cannot take the connection over, as net/http's handlers do.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.wg.Done()
	if s.cfg.control && strings.HasPrefix(r.URL.Path, controlPrefix) {
		s.serveControl(w, r)
		return
	}
	x := s.arrive(w, r)
	if x.fault.Kind == ResetUnread {
		x.silent(&reply{}, true)
		return
	}
	if !x.readBody() {
		return
	}
	if made, instead := x.instead(); instead {
		x.deliver(made)
		return
	}
	switch x.fault.Kind {
	case InFlightOverlap:
		s.overlap(x)
		x.deliver(s.process(&x.call))
	case Duplicate:
		first := s.process(&x.call)
		s.again(x)
		x.deliver(first)
	default:
		x.deliver(s.process(&x.call))
	}
}

// arrive enters the request into the ledger and takes its fault.
func (s *Server) arrive(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{s: s, w: w, r: r, rc: http.NewResponseController(w)}
	x.call = call{
		method: r.Method, path: r.URL.Path, query: r.URL.RawQuery,
		contentType: r.Header.Get("Content-Type"),
		key:         strings.Join(r.Header.Values("Idempotency-Key"), ", "),
		authorized:  r.Header.Get("Authorization") == "Bearer "+s.cfg.secret,
	}
	host := "main"
	if c, ok := r.Context().Value(connKey{}).(*conn); ok {
		host = c.listener.name
		if c.listener.plain {
			x.conn = c
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x.seq = len(s.arrivals) + 1
	x.release = s.release
	if host == "main" && unsafeMethod(x.method) {
		x.fault = s.takeLocked(x.seq, x.key, x.path)
	}
	s.arrivedLocked(x, host, false)
	return x
}

func (s *Server) arrivedLocked(x *exchange, host string, duplicate bool) {
	a := Arrival{
		Seq: x.seq, At: s.nowLocked(), Host: host, Method: x.method, Path: x.path, Query: x.query,
		Key: x.key, Header: headersThatMatter(x.r.Header), Authorized: x.authorized,
		Fault: x.fault.Kind, Duplicate: duplicate,
	}
	if x.whole {
		a.BodyHash = hashBytes(x.body)
	}
	s.arrivals = append(s.arrivals, a)
	s.write(entry{Arrival: &a})
	s.changedLocked()
}

// headersThatMatter is a list of what may be kept, so that no credential ever
// is.
func headersThatMatter(h http.Header) map[string]string {
	out := make(map[string]string)
	for _, name := range []string{
		"Accept", "Content-Length", "Content-Type", "Expect", "Idempotency-Key", "Repeatability-First-Sent",
		"Stripe-Account", "Stripe-Version", "Traceparent", "User-Agent", "X-Idempotency-Key", "X-Request-Id",
		"X-Stainless-Retry-Count",
	} {
		if v := h.Values(name); len(v) > 0 {
			out[name] = strings.Join(v, ", ")
		}
	}
	return out
}

// readBody reads the body whole. False: the exchange is over.
func (x *exchange) readBody() bool {
	body, err := io.ReadAll(io.LimitReader(x.r.Body, x.s.cfg.maxBody+1))
	switch {
	case err != nil:
		x.silent(&reply{note: "the request's body ended early: " + err.Error()}, false)
		return false
	case int64(len(body)) > x.s.cfg.maxBody:
		x.fault, x.close = Fault{}, true
		x.deliver(apiError(413, "invalid_request_error", "", "", "The body is larger than "+strconv.FormatInt(x.s.cfg.maxBody, 10)+" bytes."))
		return false
	}
	x.body, x.whole = body, true
	return true
}

// answer enters into the ledger what is about to be sent, and makes it
// durable; status 0 says that nothing is. False: the store failed, and nothing
// may be sent.
func (x *exchange) answer(rep *reply, status int) bool {
	s := x.s
	s.mu.Lock()
	a := s.arrivals[x.seq-1]
	a.Status, a.Done, a.Did, a.EffectID, a.Note = status, true, rep.did, rep.effect, rep.note
	if x.whole {
		a.BodyHash = hashBytes(x.body)
	}
	ok := s.write(entry{Arrival: &a})
	s.mu.Unlock()
	ok = ok && (!unsafeMethod(x.method) || s.sync())
	if !ok {
		a.Status, a.Note = 0, "the store failed"
	}
	s.mu.Lock()
	s.arrivals[x.seq-1] = a
	s.changedLocked()
	s.mu.Unlock()
	return ok
}

// again delivers a request a second time, as a network that duplicates does,
// and keeps its reply to itself.
func (s *Server) again(x *exchange) {
	twin := s.twin(x, Fault{Kind: x.fault.Kind})
	rep := s.process(&twin.call)
	twin.answer(rep, rep.sent())
}

// overlap starts an execution of the same request that stays in progress, and
// returns when the key is in use, or when the execution turned out to be none
// (a replay, a refusal).
func (s *Server) overlap(x *exchange) {
	if x.key == "" || s.cfg.ignoreKeys {
		return
	}
	held := x.fault
	held.Kind = HoldExecution
	twin := s.twin(x, held)
	over := make(chan struct{})
	s.wg.Go(func() {
		defer close(over)
		rep := s.process(&twin.call)
		twin.answer(rep, rep.sent())
	})
	for {
		s.mu.Lock()
		by, busy := s.busy[x.key]
		changed := s.changed
		s.mu.Unlock()
		if busy && by == twin.seq {
			return
		}
		select {
		case <-changed:
		case <-over:
			return
		}
	}
}

// twin enters a second arrival of the same request into the ledger.
func (s *Server) twin(x *exchange, f Fault) *exchange {
	twin := &exchange{call: x.call, s: s, r: x.r, whole: true}
	s.mu.Lock()
	defer s.mu.Unlock()
	host := s.arrivals[x.seq-1].Host
	twin.seq = len(s.arrivals) + 1
	twin.fault = x.fault
	s.arrivedLocked(twin, host, true)
	twin.fault = f
	return twin
}

// sent is the status that a reply shows to a client.
func (r *reply) sent() int {
	if r.none {
		return 0
	}
	return r.status
}
