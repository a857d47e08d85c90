package idem_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/idem-go/idem"
)

// Scope, Name, ID and Repeat identify an intent. The same identity gets the first
// outcome; another ID or an intended repetition is another intent.
func ExampleOperation() {
	server, path, done := sandbox()
	defer done()
	client, err := idem.Open(path, billing())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	for _, op := range []idem.Operation{
		{Name: "create_invoice", Scope: "run-42", ID: "order-1"},
		{Name: "create_invoice", Scope: "run-42", ID: "order-1"},            // the same intent
		{Name: "create_invoice", Scope: "run-42", ID: "order-2"},            // another one
		{Name: "create_invoice", Scope: "run-42", ID: "order-1", Repeat: 1}, // meant to happen again
	} {
		resp, err := client.Do(invoiceOf(server.URL(), "500"), op)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Printf("%v: %d invoices\n", op, len(server.Effects()))
	}
	// Output:
	// create_invoice order-1 in run-42: 1 invoices
	// create_invoice order-1 in run-42: 1 invoices
	// create_invoice order-2 in run-42: 2 invoices
	// create_invoice order-1 (repeat 1) in run-42: 3 invoices
}

// A Filter selects by state, scope, operation, ID and time. Fields that are not set
// select everything.
func ExampleFilter() {
	server, path, done := sandbox()
	defer done()
	client, err := idem.Open(path, billing())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	ctx := context.Background()

	var intents []*idem.Intent
	for _, order := range []string{"order-1", "order-2", "order-3"} {
		op := idem.Operation{Name: "create_invoice", Scope: "run-42", ID: order}
		intent, err := client.Begin(ctx, op, invoiceOf(server.URL(), "500"))
		if err != nil {
			fmt.Println(err)
			return
		}
		intents = append(intents, intent)
	}
	resp, err := intents[0].Do(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()

	for _, f := range []idem.Filter{
		{},
		{States: []idem.State{idem.Pending, idem.InDoubt}},
		{Operation: "create_invoice", ID: "order-1"},
		{Scope: "run-43"},
	} {
		n := 0
		for _, err := range client.Intents(ctx, f) {
			if err != nil {
				fmt.Println(err)
				return
			}
			n++
		}
		fmt.Println(n, "intents")
	}
	// Output:
	// 3 intents
	// 2 intents
	// 1 intents
	// 0 intents
}

// Stats count what was created, what did not execute again, and its cost. The
// counts survive a restart.
func ExampleStats() {
	client, done := withJournal()
	defer done()
	pay := payTool(client, idem.Policy{})
	for range 3 {
		ctx := idem.WithOperation(context.Background(), idem.Operation{Scope: "run-42", Cost: 500})
		if _, err := pay.Call(ctx, "step-3", transfer{To: "Ada", Cents: 500}); err != nil {
			fmt.Println(err)
			return
		}
	}
	s, err := client.Stats(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("intents:", s.Intents, "duplicates prevented:", s.DuplicatesPrevented, "cost prevented:", s.CostPrevented)
	fmt.Println(s.Operations["pay"].ByReason)
	// Output:
	// intents: 1 duplicates prevented: 2 cost prevented: 1000
	// map[replayed:2]
}

// A Limit stops an agent that loops, by the number of intents or by their cost. The
// journal counts, so that the limit holds across processes and restarts.
func ExampleLimit() {
	client, done := withJournal()
	defer done()
	limit := idem.Limit{Cost: 1000, Per: 24 * time.Hour}
	pay := payTool(client, idem.Policy{Limit: limit})
	for i, cents := range []int64{600, 300, 200} {
		ctx := idem.WithOperation(context.Background(), idem.Operation{Scope: "run-42", Cost: cents})
		_, err := pay.Call(ctx, fmt.Sprint("step-", i), transfer{To: "Ada", Cents: int(cents)})
		fmt.Println(cents, errors.Is(err, idem.ErrLimit))
	}
	fmt.Println(limit)
	// Output:
	// 600 false
	// 300 false
	// 200 true
	// a cost of 1000 in 24h0m0s
}
