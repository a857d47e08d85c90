package server

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"
)

// recordLimit bounds how long a reply may take to become durable before it is
// answered that nobody knows.
const recordLimit = 15 * time.Second

// lead looks the key up for everybody who asks for it now, and executes it if it
// is unseen.
func (m *middleware) lead(w http.ResponseWriter, r *http.Request, c *call, f *flight) (answer, bool) {
	s := m.store
	landed := false
	defer func() {
		if !landed { // begin panicked: a keeper of the caller's own
			s.lookedUp(c.id, f, nil, errPanicked)
		}
	}()
	now := s.clock.now()
	if s.clock.unsaved() {
		if err := s.saveClock(r.Context()); err != nil {
			s.lookedUp(c.id, f, nil, err)
			landed = true
			return m.storeFailed(err), true
		}
	}
	admitted := s.callers.take(c.id.Scope, c.retention, m.maxKeys, now)
	exec, cancel := context.WithTimeout(c.handler, m.timeout)
	defer cancel()
	begun, found, err := s.keeps.begin(r.Context(), exec, c, claimTerms{now: now, admitted: admitted, again: m.runAgain})
	if begun == nil && admitted {
		s.callers.giveBack(c.id.Scope, now)
	}
	landed = true
	switch {
	case err != nil:
		s.lookedUp(c.id, f, nil, err)
		return m.storeFailed(err), true
	case found != nil:
		s.lookedUp(c.id, f, found, nil)
		return m.known(r.Context(), c, found)
	}
	f.executes(&c.print)
	return m.execute(exec, w, r, c, f, begun), true
}

// execute runs the handler on the caller's goroutine, which is waited for even
// when the caller is gone: frameworks take their request apart when it returns.
func (m *middleware) execute(ctx context.Context, w http.ResponseWriter, r *http.Request, c *call, f *flight, begun run) (a answer) {
	s := m.store
	s.counters.executing.Add(1)
	started := time.Now()
	ctx = m.observeStart(ctx, c, 1)
	result := &standing{position: uncertain, print: c.print} // until it is known better
	returned := false
	a = answer{status: StatusUncertain, err: errPanicked}
	defer func() {
		if !returned {
			// The handler panicked, and the panic goes on to whoever catches it; the
			// reply that is written then says what became of the key.
			record, cancel := recording(c)
			result = begun.doubt(record, "the handler panicked", s.clock.now())
			cancel()
			w.Header().Set(StatusHeader, StatusUncertain)
		}
		s.counters.executing.Add(-1)
		s.landed(c.id, f, result)
		m.observeEnd(ctx, c, 1, a, started)
	}()
	u := &underWay{id: c.id}
	begun.under(u)
	rec := newRecorder(w.Header(), m.maxReply)
	req := r.WithContext(context.WithValue(ctx, executionKey, u))
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(c.body)), int64(len(c.body))
	m.next.ServeHTTP(rec, req)
	returned = true
	a, result = m.record(c, begun, u, rec.reply())
	return a
}

// record makes durable how a handler that returned left the key.
func (m *middleware) record(c *call, begun run, u *underWay, r *reply) (answer, *standing) {
	now := m.store.clock.now()
	ctx, cancel := recording(c)
	defer cancel()
	doubt := &standing{position: uncertain, print: c.print}
	if u.forgotten.Load() {
		if err := begun.forget(ctx, now); err != nil {
			m.alarm(c, "it may have happened although its handler said nothing did", err)
			return answer{StatusUncertain, uncertainReply(), err}, doubt
		}
		m.store.callers.giveBack(c.id.Scope, now)
		return refused(r, nil), nil
	}
	if err := begun.settle(ctx, r, now); err != nil {
		m.alarm(c, "its reply could not be kept, so nobody is told it", err)
		return answer{StatusUncertain, uncertainReply(), err}, doubt
	}
	m.store.keeps.counted(c.id, StatusExecuted)
	kept := *r
	kept.live = nil
	return answer{status: StatusExecuted, reply: r}, &standing{position: executed, print: c.print, reply: &kept}
}

// recording is the context of what must be written whether the caller waits or not.
func recording(c *call) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(c.handler), recordLimit)
}

func (m *middleware) alarm(c *call, what string, err error) {
	m.logger.Error("an idempotency key is uncertain: "+what,
		"request", c.request, "route", c.id.Route, "scope", c.id.Scope, "key", c.id.Key, "error", err)
}
