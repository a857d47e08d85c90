package idem_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
)

// Call Recover once after Open: it finishes what the last process left open.
func ExampleClient_Recover() {
	server, path, done := sandbox()
	defer done()
	ctx := context.Background()

	// A process that ends between Begin and Do. examples/crash kills one at the
	// worst moment instead.
	before, err := idem.Open(path, billing())
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = before.Begin(ctx, idem.Operation{Name: "create_invoice", ID: "order-1234"}, invoiceOf(server.URL(), "500"))
	if err = errors.Join(err, before.Close()); err != nil {
		fmt.Println(err)
		return
	}

	client, err := idem.Open(path, billing())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	report, err := client.Recover(ctx)
	fmt.Printf("%+v %v\n", report, err)
	fmt.Println("invoices:", len(server.Effects()))
	// Output:
	// {Succeeded:1 Failed:0 InDoubt:0 Skipped:0 Reasons:map[]} <nil>
	// invoices: 1
}

func ExampleClient_Lookup() {
	server, path, done := sandbox()
	defer done()
	client, err := idem.Open(path, billing())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	resp, err := client.Do(invoiceOf(server.URL(), "500"), idem.Operation{Name: "create_invoice", ID: "order-1234"})
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()

	// A provider's log names a key. Whose is it?
	key := server.Effects()[0].Key
	intent, err := client.Lookup(context.Background(), key)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(intent.Operation(), intent.State())
	for _, event := range intent.History() {
		fmt.Println("-", event.Attempt, event.State, event.Reason)
	}

	_, err = client.Lookup(context.Background(), "no-such-key")
	fmt.Println(errors.Is(err, idem.ErrNoIntent))
	// Output:
	// create_invoice order-1234 succeeded
	// - 0 pending begun
	// - 1 pending http 200
	// - 0 succeeded http 200
	// true
}

func ExampleClient_Intents() {
	server, path, done := sandbox()
	defer done()
	client, err := idem.Open(path, billing())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	ctx := context.Background()
	for _, order := range []string{"order-1", "order-2", "order-3"} {
		if _, err := client.Begin(ctx, idem.Operation{Name: "create_invoice", Scope: "run-42", ID: order}, invoiceOf(server.URL(), "500")); err != nil {
			fmt.Println(err)
			return
		}
	}

	// What is open, oldest first.
	open := idem.Filter{States: []idem.State{idem.Pending, idem.InDoubt}, Scope: "run-42"}
	for intent, err := range client.Intents(ctx, open) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(intent.Operation().ID, intent.State(), "ever sent:", !intent.FirstSent().IsZero())
	}
	// Output:
	// order-1 pending ever sent: false
	// order-2 pending ever sent: false
	// order-3 pending ever sent: false
}

// What may have happened at a far side that promises nothing about keys is never
// sent again by itself. A person looks there, and says what is so.
func ExampleClient_Resolve() {
	server, path, done := sandbox()
	defer done()
	client, err := idem.Open(path) // no policy: at most once
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	ctx := context.Background()
	server.Script(idemtest.Fault{Kind: idemtest.DropAfter}) // it acts, and hangs up

	op := idem.Operation{Name: "create_invoice", ID: "order-1234"}
	req := invoiceOf(server.URL(), "500")
	req.Header.Set("Authorization", "Bearer sk_test_example")
	_, err = client.Do(req, op)
	var doubt *idem.InDoubtError
	if !errors.As(err, &doubt) {
		fmt.Println("no doubt:", err)
		return
	}
	fmt.Println("in doubt; requests:", len(server.Arrivals()))

	err = client.Resolve(ctx, doubt.Key, idem.Resolution{
		State: idem.Succeeded, Result: []byte(`{"id":"in_1"}`), Note: "seen in the dashboard by Ada",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Do(invoiceOf(server.URL(), "500"), op)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(body), err)
	fmt.Println("requests:", len(server.Arrivals()))
	// Output:
	// in doubt; requests: 1
	// 200 {"id":"in_1"} <nil>
	// requests: 1
}

// Pruning drops payloads and outcomes first and keeps the bare identity, so that
// an old call made again is an error and not a second effect.
func ExampleClient_Prune() {
	server, path, done := sandbox()
	defer done()
	// So short a time is for this example only.
	client, err := idem.Open(path, billing(), idem.WithRetention(time.Nanosecond, 24*time.Hour))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	op := idem.Operation{Name: "create_invoice", ID: "order-1234"}
	resp, err := client.Do(invoiceOf(server.URL(), "500"), op)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()

	n, err := client.Prune(context.Background())
	fmt.Println(n, err)
	_, err = client.Do(invoiceOf(server.URL(), "500"), op)
	fmt.Println(errors.Is(err, idem.ErrForgotten), "invoices:", len(server.Effects()))
	// Output:
	// 1 <nil>
	// true invoices: 1
}

func ExampleClient_Stats() {
	server, path, done := sandbox()
	defer done()
	client, err := idem.Open(path, billing())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	op := idem.Operation{Name: "create_invoice", ID: "order-1234", Cost: 500}
	for range 3 {
		resp, err := client.Do(invoiceOf(server.URL(), "500"), op)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
	}

	stats, err := client.Stats(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("intents:", stats.Intents, "open:", stats.Pending+stats.InDoubt)
	fmt.Println("duplicates that did not happen:", stats.DuplicatesPrevented, "cents saved:", stats.CostPrevented)
	fmt.Println(stats.ByReason)
	// Output:
	// intents: 1 open: 0
	// duplicates that did not happen: 2 cents saved: 1000
	// map[replayed:2]
}

// Close waits for attempts under way to be recorded. After it nothing is sent.
func ExampleClient_Close() {
	server, path, done := sandbox()
	defer done()
	client, err := idem.Open(path, billing())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client.Close())

	_, err = client.Do(invoiceOf(server.URL(), "500"), idem.Operation{Name: "create_invoice", ID: "order-1234"})
	fmt.Println(errors.Is(err, idem.ErrClosed), "requests:", len(server.Arrivals()))
	fmt.Println(client.Close())
	// Output:
	// <nil>
	// true requests: 0
	// <nil>
}
