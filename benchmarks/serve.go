package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

// addressMark starts the line in which a server child says where it listens.
const addressMark = "idem-benchmark-address "

// serve answers every request as Stripe answers a charge, until its parent closes its input. It is a process of its
// own, so that its work and its allocations are not counted as the client's.
func serve() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("%s%s\n", addressMark, l.Addr())
	reply := []byte(chargeReply())
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return // the client is gone; there is nobody to tell
		}
		setReplyHeader(w.Header())
		w.Write(reply)
	})}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		srv.Close()
	}()
	if err := srv.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func setReplyHeader(h http.Header) {
	h.Set("Content-Type", "application/json")
	h.Set("Request-Id", "req_benchmark")
	h.Set("Stripe-Version", "2026-05-27.dahlia")
}

// chargeReply is the outcome: a Stripe-style object of outcomeSize bytes.
func chargeReply() string {
	const head = `{"id":"ch_benchmark","object":"charge","amount":500,"currency":"usd","status":"succeeded","description":"`
	const tail = `"}`
	return head + strings.Repeat("x", outcomeSize-len(head)-len(tail)) + tail
}

// chargeForm is the payload: a Stripe-style form of payloadSize bytes that no other pair sends.
func chargeForm(i int) string {
	return fmt.Sprintf("amount=500&currency=usd&description=%s", chargeText(i))
}

func chargeText(i int) string {
	const used = len("amount=500&currency=usd&description=")
	head := fmt.Sprintf("order-%012d-", i)
	return head + strings.Repeat("x", payloadSize-used-len(head))
}
