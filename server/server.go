package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/idem-go/idem"
)

// defaultRoute is the route of every request without PerRoute.
const defaultRoute = "http"

// New is middleware that keeps the server's side of the contract: every request
// with an unsafe method needs a key, and is executed once. Methods without effect
// (GET, HEAD, OPTIONS, TRACE) pass untouched.
//
// It needs Scope or SingleTenant among its options. Put it behind what verifies
// the caller, and before whatever reads the body. The handler's reply is held back
// until it is durable; it is sent whole.
func New(store *Store, opts ...Option) (func(http.Handler) http.Handler, error) {
	if store == nil {
		return nil, errors.New("idem/server: New needs a Store: make one with Open, NewStore or SameTransaction")
	}
	o, err := collect(opts)
	if err != nil {
		return nil, err
	}
	if err := store.retain(o.retention); err != nil {
		return nil, err
	}
	return func(next http.Handler) http.Handler {
		return &middleware{store: store, options: o, next: next}
	}, nil
}

type middleware struct {
	store *Store
	options
	next http.Handler
}

// call is one request that has been admitted.
type call struct {
	id        Identity
	print     print
	request   string // "POST /v1/charges", for people
	body      []byte
	retention time.Duration
	handler   context.Context // what the handler runs under: the caller's values, not its end
	patience  time.Time       // until then it waits for another execution
}

// answer is what one request is told.
type answer struct {
	status string // Idem-Status
	reply  *reply
	err    error // for the Observer
}

func refused(r *reply, err error) answer { return answer{StatusRefused, r, err} }

// ServeHTTP implements http.Handler.
func (m *middleware) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if safe(r.Method) {
		m.next.ServeHTTP(w, r)
		return
	}
	if !m.store.enter() {
		m.tell(w, refused(unavailable("The store of keys is being closed."), errClosed))
		return
	}
	defer m.store.work.Done()
	c, bad := m.admit(w, r)
	if bad != nil {
		m.tell(w, refused(bad, nil))
		return
	}
	started := time.Now()
	c.handler = m.observeStart(context.WithoutCancel(r.Context()), c, 0)
	a := answer{status: StatusUncertain, err: errPanicked} // what stands if the handler panics
	defer func() {
		m.observeEnd(c.handler, c, 0, a, started)
		m.store.counters.add(a.status)
	}()
	a = m.decide(w, r, c)
	a.reply.send(w, a.status)
}

// tell answers a request that has no key to speak of.
func (m *middleware) tell(w http.ResponseWriter, a answer) {
	m.store.counters.add(a.status)
	a.reply.send(w, a.status)
}

var (
	errClosed   = errors.New("idem/server: the store is closed")
	errPanicked = errors.New("idem/server: the handler panicked: its key is uncertain")
)

// admit reads a request as far as it can be refused without looking at its key.
func (m *middleware) admit(w http.ResponseWriter, r *http.Request) (*call, *reply) {
	c := &call{
		id: Identity{Route: defaultRoute}, retention: m.retention,
		request: r.Method + " " + r.URL.EscapedPath(), patience: time.Now().Add(m.wait),
	}
	if m.scope != nil {
		if c.id.Scope = m.scope(r); c.id.Scope == "" {
			return nil, refusal(http.StatusUnauthorized, CodeNoPrincipal, "The caller is not known",
				"Keys belong to a verified caller, and this request has none: authenticate first.")
		}
	}
	if m.route != nil {
		if name := m.route(r); name != "" {
			c.id.Route = name
		}
	}
	var err error
	if c.id.Key, err = keyOf(r.Header, m.maxKey); errors.Is(err, errNoKey) {
		return nil, refusal(http.StatusBadRequest, CodeKeyRequired, "An idempotency key is required",
			"Send the header "+KeyHeader+" with a fresh UUID for each new request, and the same one with each retry.")
	} else if err != nil {
		return nil, refusal(http.StatusBadRequest, CodeKeyInvalid, "The idempotency key is not valid", err.Error()+".")
	}
	if bad := m.readBody(w, r, c); bad != nil {
		return nil, bad
	}
	c.print = printOf(r, c.body, m.ignore)
	return c, nil
}

// readBody reads the whole body, so that it can be compared before anything runs.
func (m *middleware) readBody(w http.ResponseWriter, r *http.Request, c *call) *reply {
	if r.Body == nil {
		return nil
	}
	var err error
	var tooLarge *http.MaxBytesError
	c.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, m.maxBody))
	switch {
	case errors.As(err, &tooLarge):
		return refusal(http.StatusRequestEntityTooLarge, CodeBodyTooLarge, "The body is too large",
			fmt.Sprintf("At most %d bytes are taken. Nothing was executed.", tooLarge.Limit))
	case errors.Is(err, http.ErrBodyReadAfterClose),
		err == nil && r.ContentLength > int64(len(c.body)),
		err == nil && len(c.body) == 0 && (len(r.PostForm) > 0 || r.MultipartForm != nil):
		// An empty body would be equal to every other that was read away.
		return refusal(http.StatusInternalServerError, CodeBodyRead, "The body was read too early",
			"Something before the idempotency middleware has read the body, so that it cannot be compared: put the middleware first. Nothing was executed.")
	case err != nil:
		return refusal(http.StatusBadRequest, CodeBodyIncomplete, "The body did not arrive whole",
			"Nothing was executed: send the request again under the same key.")
	}
	return nil
}

// decide finds out what the key is, and executes it where that is this request's
// to do.
func (m *middleware) decide(w http.ResponseWriter, r *http.Request, c *call) answer {
	for {
		f, leads := m.store.join(c.id)
		if leads {
			if a, done := m.lead(w, r, c, f); done {
				return a
			}
			continue
		}
		if a, done := m.follow(r.Context(), c, f); done {
			return a
		}
	}
}

// follow waits for what the leader of the same key finds.
func (m *middleware) follow(ctx context.Context, c *call, f *flight) (a answer, done bool) {
	select {
	case <-f.looked:
	case <-ctx.Done():
		return refused(unavailable("The caller hung up while the key was looked up."), ctx.Err()), true
	}
	switch {
	case f.err != nil:
		if errors.Is(f.err, context.Canceled) || errors.Is(f.err, context.DeadlineExceeded) {
			if ctx.Err() != nil {
				return refused(unavailable("The caller hung up."), ctx.Err()), true
			}
			return a, false // it was the leader's own end, not the store's
		}
		return m.storeFailed(f.err), true
	case f.found != nil:
		return m.known(ctx, c, f.found)
	case !f.print.same(c.print):
		return m.mismatched(), true
	}
	if m.wait == 0 {
		return inFlight(), true
	}
	timer := time.NewTimer(time.Until(c.patience))
	defer timer.Stop()
	select {
	case <-f.ended:
		if f.result == nil {
			return a, false // it was forgotten: whoever asks next executes it
		}
		return m.known(ctx, c, f.result)
	case <-timer.C:
	case <-ctx.Done():
	}
	return inFlight(), true
}

// known answers from what is known of the key. The payload is compared first.
func (m *middleware) known(ctx context.Context, c *call, s *standing) (a answer, done bool) {
	if !s.print.same(c.print) {
		return m.mismatched(), true
	}
	switch s.position {
	case executed:
		m.store.keeps.counted(c.id, StatusReplayed)
		return answer{status: StatusReplayed, reply: s.reply}, true
	case elsewhere:
		return m.elsewhere(ctx, c, s)
	}
	return answer{status: StatusUncertain, reply: uncertainReply()}, true
}

const lookAgain = 25 * time.Millisecond

// elsewhere waits, if it may, for another process's execution.
func (m *middleware) elsewhere(ctx context.Context, c *call, s *standing) (a answer, done bool) {
	for s.position == elsewhere {
		left := time.Until(c.patience)
		if m.wait == 0 || left <= 0 {
			return inFlight(), true
		}
		timer := time.NewTimer(min(left, lookAgain))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return inFlight(), true
		}
		next, err := m.store.keeps.look(ctx, s)
		if err != nil {
			return m.storeFailed(err), true
		}
		if next == nil {
			return a, false // free again
		}
		s = next
	}
	return m.known(ctx, c, s)
}

func (m *middleware) mismatched() answer {
	return answer{status: StatusMismatch, reply: refusal(m.mismatch, CodeKeyMismatch, "The key is known with another payload",
		"This key was used before for another method, path or body. Nothing was executed now: use a fresh key for another request.")}
}

// retryIn is how long a caller is asked to stay away.
const retryIn = time.Second

func inFlight() answer {
	return answer{status: StatusInFlight, reply: refusal(http.StatusConflict, CodeKeyInUse, "The key is in use",
		"A request with this key is being executed. Ask again later, with the same key, for its reply.").later(retryIn)}
}

func uncertainReply() *reply {
	return refusal(http.StatusConflict, CodeUncertain, "Nobody knows whether it happened",
		"A request with this key was begun and its end was not recorded: it may have happened. It is not executed again until somebody finds out. Look up what became of it before using another key.")
}

func unavailable(detail string) *reply {
	return refusal(http.StatusServiceUnavailable, CodeUnavailable, "The key could not be looked up",
		detail+" Nothing was executed: ask again with the same key.").later(retryIn)
}

// storeFailed answers when the store could not be asked. Nothing was executed.
func (m *middleware) storeFailed(err error) answer {
	if errors.Is(err, errTooManyKeys) {
		return refused(refusal(http.StatusTooManyRequests, CodeTooManyKeys, "Too many keys",
			fmt.Sprintf("This caller has begun %d keys, which is as many as are kept for it at once. Nothing was executed.", m.maxKeys)).
			later(m.retention/callerSlices), err)
	}
	if !errors.Is(err, context.Canceled) {
		m.logger.Error("the store of idempotency keys failed; the request was refused", "error", err)
	}
	return refused(unavailable("The store of keys did not answer."), err)
}

func (m *middleware) observeStart(ctx context.Context, c *call, attempt int) context.Context {
	if m.observer == nil {
		return ctx
	}
	return m.observer.Start(ctx, idem.Event{At: m.store.clock.now(), Operation: c.id.operation(), Attempt: attempt, State: idem.Pending})
}

func (m *middleware) observeEnd(ctx context.Context, c *call, attempt int, a answer, started time.Time) {
	if m.observer == nil {
		return
	}
	e := idem.Event{
		At: m.store.clock.now(), Operation: c.id.operation(), Attempt: attempt,
		State: stateOf(a.status), Reason: a.status, Took: time.Since(started), Err: a.err,
	}
	if a.reply != nil {
		e.Status = a.reply.status
	}
	m.observer.End(ctx, e)
}

func (id Identity) operation() idem.Operation {
	return idem.Operation{Name: id.Route, Scope: id.Scope, ID: id.Key}
}

// stateOf is what a reply's status says of its key.
func stateOf(status string) idem.State {
	switch status {
	case StatusExecuted, StatusReplayed:
		return idem.Succeeded
	case StatusUncertain:
		return idem.InDoubt
	case StatusInFlight:
		return idem.Pending
	}
	return idem.Failed
}
