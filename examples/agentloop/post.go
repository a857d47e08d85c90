package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// postOffice is a server that sends mails and texts, and has never heard of
// idempotency keys. Its reply to the first mail never comes.
type postOffice struct {
	listener net.Listener
	server   *http.Server
	mailed   chan struct{} // closed by the first mail

	mu   sync.Mutex
	sent map[string]int
}

func newPostOffice() (*postOffice, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &postOffice{listener: listener, mailed: make(chan struct{}), sent: map[string]int{}}
	p.server = &http.Server{Handler: http.HandlerFunc(p.serve)}
	go p.server.Serve(listener)
	return p, nil
}

func (p *postOffice) serve(w http.ResponseWriter, r *http.Request) {
	kind := r.URL.Path[1:]
	p.mu.Lock()
	p.sent[kind]++
	first := kind == "mail" && p.sent[kind] == 1
	p.mu.Unlock()
	if first {
		close(p.mailed)
		<-r.Context().Done() // the sender is gone
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"sent":true}`)
}

// waitMail waits until the first mail was sent.
func (p *postOffice) waitMail(ctx context.Context) error {
	select {
	case <-p.mailed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *postOffice) count(kind string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent[kind]
}

func (p *postOffice) url() string { return "http://" + p.listener.Addr().String() }

func (p *postOffice) close() error { return p.server.Close() }
