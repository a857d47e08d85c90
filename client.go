package idem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/idem-go/idem/internal/clock"
	"github.com/idem-go/idem/internal/fingerprint"
	"github.com/idem-go/idem/internal/seal"
	"github.com/idem-go/idem/internal/sqlite"
	"github.com/idem-go/idem/internal/wire"
	"github.com/idem-go/idem/journal"
)

// Client begins intents and carries them out. It may be used from many
// goroutines at once. Make one with Open or New, and Close it.
type Client struct {
	journal   Journal
	mac       []byte // with encryption: the key of the fingerprints
	usualKey  func(Operation) (string, error)
	known     func(Operation) *journal.Record // what the journal has at hand, to be read only; nil: it has to be asked
	options   options
	policies  policies
	transport http.RoundTripper
	maxReply  int64
	clock     *clock.Clock
	steady    *clock.Steady // whether the wall clock can be trusted to prune by
	budget    *budget

	mu      sync.Mutex
	closed  bool
	writes  bool                     // it was asked to begin or carry out something, so it does not only read
	runs    map[string]*run          // by key: what is being executed here
	idle    map[string]idleClaim     // by key: created here, and no caller has called Do yet
	unsaved map[string]unsavedChange // by key: what the journal would not take
	tools   map[string]*toolEntry    // by name
	overdue map[string]int           // by key: tool functions that outlived their time and still run

	stop    context.CancelFunc // ends waits between attempts
	stopped context.Context
	work    sync.WaitGroup // every goroutine
}

// unsavedChange is a change that the journal would not take.
type unsavedChange struct {
	record *journal.Record
	change *journal.Change
}

// Open opens the SQLite journal at path, making it with mode 0600 if it is absent,
// and a client on it. Close the client.
//
// The journal may be open in many processes at once, but only once in each. Beside
// it SQLite keeps path-wal and path-shm, and idem path.owners, which holds no data
// but must stay: it is how one process knows that another lives.
func Open(path string, opts ...Option) (*Client, error) {
	o, err := collect(opts)
	if err != nil {
		return nil, err
	}
	j, err := sqlite.Open(path)
	if err != nil {
		return nil, err
	}
	c, err := newClient(j, o)
	if err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return c, nil
}

// New makes a client on any journal, which the client's Close closes.
func New(j Journal, opts ...Option) (*Client, error) {
	if j == nil {
		return nil, errors.New("idem: New needs a Journal: it is nil")
	}
	o, err := collect(opts)
	if err != nil {
		return nil, err
	}
	return newClient(j, o)
}

func newClient(j Journal, o options) (*Client, error) {
	c := &Client{
		journal: j, options: o, policies: o.policies,
		transport: o.transport, maxReply: o.maxReply,
		clock: clock.New(o.wall), budget: newBudget(),
		runs: map[string]*run{}, idle: map[string]idleClaim{}, unsaved: map[string]unsavedChange{},
		tools: map[string]*toolEntry{}, overdue: map[string]int{},
	}
	if c.transport == nil {
		// Its own, so that Close can close its idle connections and no other client's.
		if base, ok := http.DefaultTransport.(*http.Transport); ok {
			c.transport = base.Clone()
		} else {
			c.transport = &http.Transport{Proxy: http.ProxyFromEnvironment}
		}
	}
	c.usualKey = randomKey
	if own, ok := j.(journal.KeyMaker); ok { // as it was given: keys are not sealed
		c.usualKey = own.NewKey
	}
	c.stopped, c.stop = context.WithCancel(context.Background())
	var err error
	if c.journal, c.mac, err = seal.Wrap(j, o.keys); err == nil {
		err = c.readClock()
	}
	if err == nil {
		err = c.readSteady()
	}
	c.known = func(Operation) *journal.Record { return nil }
	if own, ok := c.journal.(journal.Cacher); ok { // only where nothing is sealed: the sealing journal is none
		c.known = own.Cached
	}
	if err != nil {
		c.stop()
		return nil, err
	}
	c.work.Go(c.releaseIdle)
	return c, nil
}

// Begin makes an intent for op durable: its identity, key and exact payload. It
// never touches the network. The request is read, not changed or kept; its body
// is closed.
//
// Where the identity exists already, the Intent is the recorded one: Do joins it,
// waits for it, finishes it or hands out its outcome. With another payload that is
// ErrMismatch, unless the recorded one failed: then nothing had happened, and a
// new intent with a new key is begun and linked to it.
func (c *Client) Begin(ctx context.Context, op Operation, req *http.Request) (*Intent, error) {
	closeBody := func() {
		if req != nil && req.Body != nil {
			req.Body.Close()
		}
	}
	op, err := c.admit(ctx, op)
	if err != nil {
		closeBody()
		return nil, err
	}
	p, _ := c.policies.of(op.Name)
	if p.Effect == ReadOnly {
		closeBody()
		return nil, fmt.Errorf("idem: %s is ReadOnly: it has no intent; use Client.Do", op)
	}
	h, body, s, err := wire.Read(req, c.readOptions(p))
	if err != nil {
		return nil, fmt.Errorf("idem: %s: %w; nothing was sent", op, err)
	}
	op.ID = c.payloadID(p.ID, h.ContentType(), body, op.ID)
	r := &journal.Record{
		Operation: op, FingerprintVersion: fingerprint.Version, Payload: body,
		Fingerprint: c.fingerprint(h.Payload(body, p.Contract.place(), p.Ignore)),
		Terms:       termsOf(p, false),
	}
	begun := &struct { // in one piece
		in   Intent
		live liveRequest
	}{}
	in, live := &begun.in, &begun.live
	if err := c.begin(ctx, in, r, &h, p); err != nil {
		return nil, err
	}
	live.request, live.secrets = *req, s
	live.request.Body, live.request.GetBody = nil, nil // read, and not kept a second time
	if in.record == r {
		live.head = h
	}
	in.live = live
	return in, nil
}

// Do is Begin and Intent.Do under the request's context. A ReadOnly operation is
// sent, and retried, without being journaled or keyed.
func (c *Client) Do(req *http.Request, op Operation) (*http.Response, error) {
	if req == nil {
		return nil, fmt.Errorf("idem: %s: the request is nil; nothing was sent", op)
	}
	if p, _ := c.policies.of(op.Name); p.Effect == ReadOnly {
		return c.doReadOnly(req, op, p)
	}
	in, err := c.Begin(req.Context(), op, req)
	if err != nil {
		return nil, err
	}
	resp, err := in.Do(req.Context())
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// admit checks an operation and fills in the context's scope.
func (c *Client) admit(ctx context.Context, op Operation) (Operation, error) {
	if op.Scope == "" {
		op.Scope = scopeOf(ctx)
	}
	if err := op.Validate(); err != nil {
		return op, err
	}
	if c.options.requireScope && op.Scope == "" {
		return op, failure(ErrNoScope, nil, "%s has no scope and this client requires one: set Operation.Scope or use WithScope; nothing was sent", op)
	}
	if err := ctx.Err(); err != nil {
		return op, fmt.Errorf("idem: %s: %w; nothing was sent", op, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return op, failure(ErrClosed, nil, "%s: the client is closed; nothing was sent", op)
	}
	return op, nil
}

// closeLimit bounds what Close records at last. Each write waits for other processes.
const closeLimit = 30 * time.Second

// Close forbids new sends, waits until the attempts under way are recorded, each
// bounded by its AttemptTimeout, gives up what was begun and never sent, and
// closes the journal; its lock goes last. What the journal does not take within half a
// minute is given up: the next owner then takes it for what may have been sent. Calls that wait get ErrClosed, or an
// in-doubt error where something was sent. Closing again does nothing.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		c.work.Wait()
		return nil
	}
	c.closed = true
	for _, r := range c.runs {
		r.cancel() // no more waits between attempts; what is under way goes on
	}
	c.mu.Unlock()
	c.stop()
	c.work.Wait()
	c.releaseAll()
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	errs := []error{c.saveAll(ctx), c.saveClock()}
	if own, ok := c.transport.(*http.Transport); ok && c.options.transport == nil {
		own.CloseIdleConnections()
	}
	return errors.Join(append(errs, c.journal.Close())...)
}
