//go:build linux && cgo

package pair

import (
	"bytes"
	"errors"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
)

// fault is what goes wrong with one request on its way to the server and back. A
// fault "before" keeps the request from the server. A fault "after" leaves the request
// alone and harms the reply.
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

// proxy is a reverse proxy that harms every third request with a fault drawn from
// its dice.
type proxy struct {
	url  string
	web  *http.Server
	back *http.Transport

	mu     sync.Mutex
	target string // the server's URL; empty: the server is down
	dice   *rand.Rand
	hits   map[fault]int
	later  sync.WaitGroup // deliveries that go on after the reply
}

func newProxy(dice *rand.Rand) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{url: "http://" + l.Addr().String(), dice: dice, hits: map[fault]int{}, back: &http.Transport{}}
	p.web = &http.Server{Handler: p, ErrorLog: log.New(io.Discard, "", 0)} // a cut body is a panic
	go p.web.Serve(l)
	return p, nil
}

// close ends the proxy and waits for its late deliveries.
func (p *proxy) close() {
	p.web.Close()
	p.later.Wait()
	p.back.CloseIdleConnections()
}

// point sends requests to another server; empty: to none.
func (p *proxy) point(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// behave ends the faults, and waits for late deliveries.
func (p *proxy) behave() {
	p.mu.Lock()
	p.dice = nil
	p.mu.Unlock()
	p.later.Wait()
}

// faults returns how often each fault was made.
func (p *proxy) faults() map[fault]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	made := maps.Clone(p.hits)
	delete(made, faultNone)
	return made
}

func (p *proxy) next() (f fault, target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f = faultNone
	if p.dice != nil && p.dice.IntN(3) == 0 {
		all := allFaults()
		f = all[p.dice.IntN(len(all))]
	}
	p.hits[f]++
	return f, p.target
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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

// before makes the faults that keep a request from the server, and reports whether
// it made one.
func (p *proxy) before(w http.ResponseWriter, r *http.Request, f fault) bool {
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

// after passes the server's reply on, or harms it.
func (p *proxy) after(w http.ResponseWriter, f fault, reply *http.Response, content []byte) {
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

// forward delivers a request to the server once. The request's body cannot be read
// again, so that the transport does not deliver the request a second time.
func (p *proxy) forward(target string, r *http.Request, body []byte) (*http.Response, []byte, error) {
	if target == "" {
		return nil, nil, errors.New("the server is down")
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

// page writes a page that something between client and server made up.
func page(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	io.WriteString(w, "<html>"+strings.Repeat("a page ", 10)+"</html>")
}
