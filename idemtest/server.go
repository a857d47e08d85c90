// Package idemtest is what users of idem test their own agents with: a strict
// Stripe-style HTTP server that keeps a ledger of every arrival, effect and
// key, and that goes wrong in every way a test asks for.
//
// The server shares no code with the library it tests, so that a mistake in
// one cannot hide in the other.
package idemtest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// ErrServerClosed is what waiting on a closed server returns.
var ErrServerClosed = errors.New("idemtest: the server is closed")

// TB is the part of testing.TB that Start needs, so that programs which are no
// tests can use this package without linking package testing.
type TB interface {
	Helper()
	Cleanup(func())
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Server is a strict Stripe-style server on real sockets. It speaks
//
//	POST   /v1/{invoices,charges,refunds,customers}        create
//	POST   /v1/{kind}/{id}                                 update
//	DELETE /v1/{kind}/{id}
//	GET    /v1/{kind}/{id}
//	GET    /v1/{kind}?metadata[name]=value                 search
//
// with bodies in application/x-www-form-urlencoded or application/json, and
// keeps the promise of Stripe's v1 idempotency keys
// (https://docs.stripe.com/api/idempotent_requests): Authorization first;
// 429 and refused parameters leave no trace under the key; the same key with
// the same method, path and parameters replays the stored status, headers and
// body with Idempotent-Replayed: true, stored 500s too; other parameters are
// 400 idempotency_error; a key that is executing is 409
// idempotency_key_in_use; a key is forgotten after its retention.
//
// Make one with NewServer or Start; the zero Server is of no use. All methods
// may be called at the same time.
type Server struct {
	cfg     serverConfig
	http    *http.Server
	main    *listener
	other   *listener
	badCert *listener
	refused string
	ends    []net.Conn // of the connection that keeps the refused port taken
	tls     *tlsIdentity
	done    chan struct{}
	wg      sync.WaitGroup // listeners, connections, requests, held executions

	mu       sync.Mutex
	closed   bool
	changed  chan struct{} // closed and replaced at each change
	release  chan struct{} // closed and replaced by Release
	arrivals []Arrival
	effects  []Effect
	keys     []*KeyRecord
	current  map[string]*KeyRecord // newest record of each key
	busy     map[string]int        // keys that are executing, by which arrival
	objects  map[string]*object
	order    []string // ids of objects, oldest first
	offset   time.Duration
	script   script
	store    *store
	storeErr error
	clients  []*http.Transport
}

// listener is one address that the server answers on.
type listener struct {
	name string
	url  string
}

// NewServer starts a server on 127.0.0.1, at a port of the system's choice.
// The error says which option is wrong, or why the address or the store file
// cannot be had.
func NewServer(opts ...ServerOption) (*Server, error) {
	cfg := defaultServerConfig()
	for _, opt := range opts {
		if opt != nil {
			opt(&cfg)
		}
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg:     cfg,
		done:    make(chan struct{}),
		changed: make(chan struct{}),
		release: make(chan struct{}),
		current: make(map[string]*KeyRecord),
		busy:    make(map[string]int),
		objects: make(map[string]*object),
		script:  newScript(),
	}
	s.http = &http.Server{
		Handler:           s,
		MaxHeaderBytes:    64 << 10,
		ReadHeaderTimeout: 10 * time.Second,
		ConnContext:       connContext,
		ConnState:         s.connState,
		// Faults make net/http complain; the ledger is where they are read.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	if cfg.storePath != "" {
		if err := s.openStore(cfg.storePath); err != nil {
			return nil, err
		}
	}
	if err := s.listenAll(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) listenAll() error {
	if s.cfg.tls {
		id, err := newTLSIdentity("idemtest", "127.0.0.1", "localhost")
		if err != nil {
			return err
		}
		s.tls = id
	}
	var err error
	if s.main, err = s.listen("main", s.cfg.addr, s.tls); err != nil {
		return err
	}
	if s.other, err = s.listen("other", "127.0.0.1:0", s.tls); err != nil {
		return err
	}
	return s.openUnreachable()
}

// listen opens one address and serves it until Close.
func (s *Server) listen(name, addr string, id *tlsIdentity) (*listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("idemtest: cannot listen on %s; give WithAddr another address: %w", addr, err)
	}
	out := &listener{name: name, url: "http://" + ln.Addr().String()}
	wrapped := net.Listener(&countingListener{Listener: ln, server: s, name: name, plain: id == nil})
	if id != nil {
		out.url = "https://" + ln.Addr().String()
		wrapped = tls.NewListener(wrapped, id.serverConfig())
	}
	s.wg.Go(func() {
		// Serve's error is always that of a listener closed by Close.
		_ = s.http.Serve(wrapped)
	})
	return out, nil
}

// Start is NewServer for a test: the server closes when the test ends, and an
// error ends the test.
func Start(t TB, opts ...ServerOption) *Server {
	t.Helper()
	s, err := NewServer(opts...)
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Fatalf("%v", err)
		}
	})
	return s
}

// URL is the server's address: "http://127.0.0.1:port", without a slash at
// the end; "https://…" with WithTLS.
func (s *Server) URL() string { return s.main.url }

// OtherURL is the address of a second listener: another host to a client.
// It is the same server with the same ledger, but scripted and random faults
// do not strike there. Redirect307Other points to it.
func (s *Server) OtherURL() string { return s.other.url }

// Close stops listening, cuts every connection, ends every held reply and
// execution (a held execution ends without its effect), waits until all that
// the server started is over, and closes the store. The ledger stays readable.
// Closing twice is no error. The error is the first one the store met.
func (s *Server) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
	clients := s.clients
	s.clients = nil
	s.mu.Unlock()

	for _, c := range clients {
		c.CloseIdleConnections()
	}
	// Close's error is that of listeners being closed already.
	_ = s.http.Close()
	for _, c := range s.ends {
		_ = c.Close()
	}
	s.wg.Wait()

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store != nil {
		if err := s.store.close(); err != nil && s.storeErr == nil {
			s.storeErr = err
		}
		s.store = nil
	}
	return s.storeErr
}

// enter counts a request in, unless the server is closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Add(1)
	return true
}

// Now is the time by the server's clock: the system's, plus what Advance
// added.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nowLocked()
}

func (s *Server) nowLocked() time.Time { return time.Now().Add(s.offset).UTC().Round(0) }

// Advance moves the server's clock forward, so that keys expire. A d that is
// not positive does nothing.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d <= 0 {
		return
	}
	s.offset += d
	s.write(entry{Advance: d})
}

// Client returns an HTTP client that trusts this server's certificate and
// speaks HTTP/2 with it under WithTLS. It follows no redirects. Close closes
// its idle connections.
func (s *Server) Client() *http.Client {
	tr := &http.Transport{ForceAttemptHTTP2: true}
	if s.tls != nil {
		tr.TLSClientConfig = &tls.Config{RootCAs: s.tls.pool, MinVersion: tls.VersionTLS12}
	}
	s.mu.Lock()
	s.clients = append(s.clients, tr)
	s.mu.Unlock()
	return &http.Client{
		Transport:     tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// hold waits until one of the ways to end a held reply. A client that leaves
// ends nothing: what has begun at a real server goes on without it. False: the
// server closes.
func (s *Server) hold(f Fault, release <-chan struct{}) bool {
	var timer <-chan time.Time
	if f.Delay > 0 {
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-timer:
	case <-f.Hold:
	case <-release:
	case <-s.done:
		return false
	}
	return true
}
