package idem_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/idem-go/idem"
)

// payTool is a tool that always succeeds.
func payTool(client *idem.Client, p idem.Policy) *idem.Tool[transfer, receipt] {
	runs := 0
	pay, err := idem.NewTool(client, "pay", p, func(context.Context, string, transfer) (receipt, error) {
		runs++
		return receipt{Number: runs}, nil
	})
	if err != nil {
		panic(err)
	}
	return pay
}

// Inside the window the same thing under another ID is taken for the first: a model
// that plans again mints new IDs. An intended repeat says so.
func ExamplePolicy_window() {
	client, done := withJournal()
	defer done()
	pay := payTool(client, idem.Policy{Window: time.Hour})
	ctx := idem.WithScope(context.Background(), "run-42")
	for _, id := range []string{"call_a1", "call_b2"} {
		r, err := pay.Call(ctx, id, transfer{To: "Ada", Cents: 500})
		fmt.Println(id, "receipt", r.Number, err)
	}
	again := idem.WithOperation(ctx, idem.Operation{Scope: "run-42", Repeat: 1})
	r, err := pay.Call(again, "call_c3", transfer{To: "Ada", Cents: 500})
	fmt.Println("a repeat: receipt", r.Number, err)
	// Output:
	// call_a1 receipt 1 <nil>
	// call_b2 receipt 1 <nil>
	// a repeat: receipt 2 <nil>
}

// printer is an Observer: it is all that metrics and traces need.
type printer struct{}

type startedKey struct{}

// Start puts into the context what End needs, as a tracer puts its span there.
func (printer) Start(ctx context.Context, e idem.Event) context.Context {
	if e.Attempt == 0 {
		return context.WithValue(ctx, startedKey{}, "call")
	}
	return context.WithValue(ctx, startedKey{}, fmt.Sprint("attempt ", e.Attempt))
}

func (printer) End(ctx context.Context, e idem.Event) {
	fmt.Println(e.Operation.Name, ctx.Value(startedKey{}), e.State, e.Reason)
}

// An Observer is told of each call and of each attempt in it.
func ExampleObserver() {
	client, done := withJournal(idem.WithObserver(printer{}))
	defer done()
	pay := payTool(client, idem.Policy{})
	for range 2 {
		if _, err := pay.Call(context.Background(), "step-3", transfer{To: "Ada"}); err != nil {
			fmt.Println(err)
			return
		}
	}
	// Output:
	// pay attempt 1 succeeded done
	// pay call succeeded done
	// pay call succeeded replayed
}

// The log has one line for each settled intent, and nothing secret in it.
func ExampleWithLogger() {
	plain := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "key" {
			return slog.Attr{} // different in each run
		}
		return a
	}}
	client, done := withJournal(idem.WithLogger(slog.New(slog.NewTextHandler(os.Stdout, plain))))
	defer done()
	pay := payTool(client, idem.Policy{})
	for range 2 {
		if _, err := pay.Call(idem.WithScope(context.Background(), "run-42"), "step-3", transfer{To: "Ada"}); err != nil {
			fmt.Println(err)
			return
		}
	}
	// Output:
	// level=INFO msg="idem: succeeded" operation=pay scope=run-42 id=step-3 outcome=succeeded reason=done attempts=1
}

// An adapter whose callers may name an ID of their own takes the payload's where
// they do not.
func ExampleClient_PayloadID() {
	client, done := withJournal()
	defer done()
	a := client.PayloadID([]byte(`{"to": "Ada", "cents": 500}`), "/to")
	b := client.PayloadID([]byte(`{"cents": 900, "to": "\u0041da"}`), "/to")
	fmt.Println(a == b, client.PayloadID([]byte(`{"cents": 500}`), "/to") == "")
	// Output:
	// true true
}

// Validate says before anything is opened what is wrong with a policy.
func ExamplePolicy_Validate() {
	p := idem.Policy{Limit: idem.Limit{Intents: 10}}
	fmt.Println(p.Validate("pay"))
	// Output:
	// idem: policy of "pay": Limit needs Per, the time it counts over
}
