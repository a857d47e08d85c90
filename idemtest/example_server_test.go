package idemtest_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/idem-go/idem/idemtest"
)

// charge is a client that sends one charge under a key and reports what it
// was told.
func charge(s *idemtest.Server, key string) string {
	req, err := http.NewRequest("POST", s.URL()+"/v1/charges", strings.NewReader("amount=500&currency=usd"))
	if err != nil {
		return err.Error()
	}
	req.GetBody = nil // or net/http sends again by itself
	req.Header.Set("Authorization", "Bearer sk_test_idem")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Idempotency-Key", key)
	resp, err := s.Client().Do(req)
	if err != nil {
		return "no reply"
	}
	defer resp.Body.Close()
	return fmt.Sprintf("%d, replayed: %t", resp.StatusCode, resp.Header.Get("Idempotent-Replayed") == "true")
}

// A reply is lost after the effect. The same key finds the outcome; the ledger
// shows that one charge was made.
func ExampleServer() {
	s, err := idemtest.NewServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	if err := s.Script(idemtest.Fault{Kind: idemtest.DropAfter}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(charge(s, "order-1234"))
	fmt.Println(charge(s, "order-1234"))
	for _, a := range s.Arrivals() {
		fmt.Println(a)
	}
	fmt.Println(len(s.Effects()), "effect,", len(s.Check()), "violations")
	// Output:
	// no reply
	// 200, replayed: true
	// #1 POST /v1/charges key=order-1234 fault=drop_after answer=none effect=eff_1
	// #2 POST /v1/charges key=order-1234 fault=none answer=200 effect=eff_1
	// 1 effect, 0 violations
}

// A client that makes a new key for each attempt is found out: its journal
// knows one intent, the server saw two effects.
func ExampleServer_CheckAgainst() {
	s, err := idemtest.NewServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	_ = s.Script(idemtest.Fault{Kind: idemtest.ResetAfter})
	charge(s, "attempt-1")
	charge(s, "attempt-2")
	for _, v := range s.CheckAgainst([]idemtest.KnownIntent{{Key: "attempt-2", State: "succeeded", Attempts: 2}}) {
		fmt.Println(v)
	}
	// Output: known-effect: key attempt-1: an effect that no intent knows (arrivals [1]) (effects eff_1)
}

// WaitEffects and Release freeze the worst moment: the effect is done, the
// reply unread.
func ExampleServer_Release() {
	s, err := idemtest.NewServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	_ = s.Script(idemtest.Fault{Kind: idemtest.HoldReply})
	told := make(chan string)
	go func() { told <- charge(s, "order-1234") }()
	_ = s.WaitEffects(context.Background(), 1)
	fmt.Println("effect done, answer:", s.Arrivals()[0].Answer())
	s.Release()
	fmt.Println(<-told)
	// Output:
	// effect done, answer: open
	// 200, replayed: false
}

// Another process drives a server that was started WithControl.
func ExampleDial() {
	s, err := idemtest.NewServer(idemtest.WithControl())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	ctx := context.Background()
	remote := idemtest.Dial(s.URL())
	_ = remote.Script(ctx, idemtest.Fault{Kind: idemtest.Error500Stored})
	fmt.Println(charge(s, "order-1234"))
	fmt.Println(charge(s, "order-1234"))
	_ = remote.Wait(ctx, 2, 0)
	ledger, err := remote.Ledger(ctx)
	fmt.Println(len(ledger.Arrivals), "arrivals,", len(ledger.Effects), "effects,", err)
	// Output:
	// 500, replayed: false
	// 500, replayed: true
	// 2 arrivals, 0 effects, <nil>
}
