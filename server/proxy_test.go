package server_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/idem-go/idem/server"
	"github.com/stretchr/testify/require"
)

// fault is what goes wrong with one request on its way to the server and back.
// Before: the server did not see it. After: it did, and its reply suffers.
type fault string

const (
	faultNone        fault = "none"
	dropBefore       fault = "dropped before"
	dropAfter        fault = "dropped after"
	resetUnread      fault = "reset unread"
	resetBefore      fault = "reset before"
	resetAfter       fault = "reset after"
	cutBody          fault = "body cut"
	cutChunked       fault = "chunked body cut"
	garbage          fault = "not http"
	tooMany          fault = "429 with Retry-After before"
	tooManyBare      fault = "429 before"
	badRequest       fault = "400 of a proxy before"
	forbidden        fault = "403 of a proxy after"
	notFound         fault = "404 of a proxy after"
	requestTimeout   fault = "408 before"
	conflict         fault = "409 of a proxy before"
	tooEarly         fault = "425 before"
	error500         fault = "500 before"
	badGatewayBefore fault = "502 before"
	badGatewayAfter  fault = "502 after"
	unavailable503   fault = "503 before"
	gatewayTimeout   fault = "504 after"
	portal           fault = "200 page of a portal before"
	redirectSame     fault = "307 to the same host"
	redirectFound    fault = "302"
	informational    fault = "103 first"
	twice            fault = "delivered twice"
	twiceAtOnce      fault = "delivered twice at once"
	thenAgain        fault = "delivered again after the reply"
)

func allFaults() []fault {
	return []fault{
		faultNone, dropBefore, dropAfter, resetUnread, resetBefore, resetAfter, cutBody, cutChunked, garbage, tooMany, tooManyBare,
		badRequest, forbidden, notFound, requestTimeout, conflict, tooEarly, error500, badGatewayBefore, badGatewayAfter,
		unavailable503, gatewayTimeout, portal, redirectSame, redirectFound, informational, twice, twiceAtOnce, thenAgain,
	}
}

// faulty is a reverse proxy on a real socket that does to requests what is planned,
// or what its dice say.
type faulty struct {
	url  string
	back *http.Transport

	mu     sync.Mutex
	target string // where the server is now; empty: it is down
	script []fault
	dice   *rand.Rand // nil: the script only
	hits   map[fault]int
	later  sync.WaitGroup // requests that are delivered after their reply
}

func newFaulty(t testing.TB, target string) *faulty {
	p := &faulty{target: target, hits: map[fault]int{}, back: &http.Transport{}}
	web := httptest.NewServer(p)
	p.url = web.URL
	t.Cleanup(func() {
		web.Close()
		p.later.Wait()
		p.back.CloseIdleConnections()
	})
	return p
}

func (p *faulty) plan(faults ...fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = faults
}

func (p *faulty) point(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

func (p *faulty) next() (f fault, target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f = faultNone
	switch {
	case len(p.script) > 0:
		f, p.script = p.script[0], p.script[1:]
	case p.dice != nil && p.dice.IntN(3) == 0:
		all := allFaults()
		f = all[p.dice.IntN(len(all))]
	}
	p.hits[f]++
	return f, p.target
}

func (p *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, target := p.next()
	if f == resetUnread {
		hangUp(w, true)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if p.before(w, r, f) {
		return
	}
	if f == twice {
		p.forward(target, r, body) // the reply of the first is lost
	}
	if f == twiceAtOnce || f == thenAgain {
		p.later.Add(1)
		again := func() { defer p.later.Done(); p.forward(target, r, body) }
		if f == thenAgain {
			defer func() { go again() }()
		} else {
			go again()
		}
	}
	reply, content, err := p.forward(target, r, body)
	if err != nil {
		page(w, http.StatusBadGateway)
		return
	}
	p.after(w, f, reply, content)
}

// before does what comes in the server's way; true: it never gets there.
func (p *faulty) before(w http.ResponseWriter, r *http.Request, f fault) bool {
	statuses := map[fault]int{
		tooMany: 429, tooManyBare: 429, badRequest: 400, requestTimeout: 408, conflict: 409, tooEarly: 425,
		error500: 500, badGatewayBefore: 502, unavailable503: 503, portal: 200,
	}
	switch f {
	case dropBefore, resetBefore:
		hangUp(w, f == resetBefore)
		return true
	case redirectSame, redirectFound:
		http.Redirect(w, r, p.url+r.URL.Path, map[fault]int{redirectSame: 307, redirectFound: 302}[f])
		return true
	}
	status, ok := statuses[f]
	if !ok {
		return false
	}
	if f == tooMany || f == unavailable503 {
		w.Header().Set("Retry-After", "1")
	}
	page(w, status)
	return true
}

func (p *faulty) after(w http.ResponseWriter, f fault, reply *http.Response, content []byte) {
	switch f {
	case dropAfter, resetAfter:
		hangUp(w, f == resetAfter)
		return
	case garbage:
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err == nil {
			buf.WriteString("SMTP ready\r\n\r\n")
			buf.Flush()
			conn.Close()
		}
		return
	case forbidden, notFound, badGatewayAfter, gatewayTimeout:
		page(w, map[fault]int{forbidden: 403, notFound: 404, badGatewayAfter: 502, gatewayTimeout: 504}[f])
		return
	case informational:
		w.WriteHeader(http.StatusEarlyHints)
	}
	for name, values := range reply.Header {
		w.Header()[name] = values
	}
	if f == cutChunked {
		w.Header().Del("Content-Length")
	}
	w.WriteHeader(reply.StatusCode)
	if f == cutBody || f == cutChunked {
		w.Write(content[:len(content)/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(content)
}

// forward is one delivery to the server. The transport must not deliver again by
// itself: that is a fault of its own here.
func (p *faulty) forward(target string, r *http.Request, body []byte) (*http.Response, []byte, error) {
	if target == "" {
		return nil, nil, fmt.Errorf("the server is down")
	}
	req, err := http.NewRequest(r.Method, target+r.URL.RequestURI(), io.NopCloser(bytes.NewReader(body)))
	if err != nil {
		return nil, nil, err
	}
	req.Header, req.ContentLength, req.Host = r.Header.Clone(), int64(len(body)), r.Host
	resp, err := p.back.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return resp, content, err
}

// hangUp ends the connection without a reply.
func hangUp(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		tcp.SetLinger(0)
	}
	conn.Close()
}

// page is what something between client and server makes up.
func page(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	io.WriteString(w, "<html>"+strings.Repeat("a page ", 10)+"</html>")
}

// The kit's own proxy passes on what it has nothing against.
func TestProxyPassesOn(t *testing.T) {
	t.Parallel()
	url := serve(t, newStore(t), (&counter{}).ServeHTTP)
	p := newFaulty(t, url)
	first := post(t, p.url, "k", "{}")
	requireFirst(t, first)
	p.plan(dropBefore, dropAfter)
	for range 2 {
		_, err := try(newRequest(t, http.MethodPost, p.url, "k", "{}"))
		require.Error(t, err)
	}
	requireReplay(t, first, post(t, url, "k", "{}"))
	require.Empty(t, post(t, "http://"+strings.TrimPrefix(p.url, "http://"), "", "{}").header.Get(server.ReplayedHeader))
}
