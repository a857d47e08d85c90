package idem_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/idem-go/idem"
)

// withJournal is a client on a journal that goes with the example.
func withJournal(opts ...idem.Option) (client *idem.Client, done func()) {
	_, path, gone := sandbox()
	client, err := idem.Open(path, opts...)
	if err != nil {
		panic(err)
	}
	return client, func() {
		if err := client.Close(); err != nil {
			panic(err)
		}
		gone()
	}
}

// A tool is called with a stable name of the step. Whoever calls again gets the
// first output, and Go's types on both sides.
func ExampleTool_Call() {
	client, done := withJournal()
	defer done()
	pay, err := idem.NewTool(client, "pay", idem.Policy{}, func(_ context.Context, key string, in transfer) (receipt, error) {
		fmt.Println("paying", in.To, "under a key of", len(key), "characters")
		return receipt{Number: 7}, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := idem.WithScope(context.Background(), "run-42")
	for range 2 {
		r, err := pay.Call(ctx, "step-3", transfer{To: "Ada", Cents: 500})
		fmt.Println("receipt", r.Number, err)
	}
	_, err = pay.Call(ctx, "step-3", transfer{To: "Ada", Cents: 600})
	fmt.Println(errors.Is(err, idem.ErrMismatch))
	// Output:
	// paying Ada under a key of 36 characters
	// receipt 7 <nil>
	// receipt 7 <nil>
	// true
}

// An agent loop hands on what the model asked for, and tells it what came of it.
// The model's call ids are new each time it plans; the policy says which fields make
// two calls the same thing.
func ExampleClient_Call() {
	client, done := withJournal()
	defer done()
	_, err := idem.NewTool(client, "pay", idem.Policy{ID: []string{"/to"}}, func(context.Context, string, transfer) (receipt, error) {
		return receipt{Number: 7}, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := idem.WithScope(context.Background(), "run-42")
	for _, call := range []struct{ id, tool, args string }{
		{"call_a1", "pay", `{"to": "Ada", "cents": 500}`},
		{"call_b2", "pay", `{"cents": 500, "to": "Ada"}`}, // it plans again
		{"call_c3", "pay", `{"to": "Ada", "cents": 600}`}, // and changes its mind
		{"call_d4", "pay", `{"to": "Bob", "cents": "five"}`},
		{"call_e5", "play", `{}`},
	} {
		out, err := client.Call(ctx, call.tool, call.id, json.RawMessage(call.args))
		if err != nil {
			out = json.RawMessage(idem.Advice(err))
		}
		fmt.Printf("%s: %s\n", call.id, out)
	}
	// Output:
	// call_a1: {"number":7}
	// call_b2: {"number":7}
	// call_c3: This was asked for before with other values, which stand; use the earlier answer, or name a new step if another thing is meant.
	// call_d4: It was refused and nothing happened (json: cannot unmarshal string into Go struct field transfer.cents of type int): mend the arguments, or do without it.
	// call_e5: There is no such tool; use one of those that are listed.
}

// WithOperation names the next write. Without an ID it mints one, once: an SDK that
// tries again by itself meets the same intent.
func ExampleWithOperation() {
	server, path, done := sandbox()
	defer done()
	client, err := idem.Open(path, billing())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	sdk := &http.Client{Transport: client.Transport(nil)}

	ctx := idem.WithOperation(context.Background(), idem.Operation{Name: "create_invoice", Scope: "run-42", Cost: 500})
	for range 3 { // the SDK, trying again
		resp, err := sdk.Do(invoiceOf(server.URL(), "500").WithContext(ctx))
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
	}
	fmt.Println("invoices:", len(server.Effects()))
	_, err = sdk.Do(invoiceOf(server.URL(), "900").WithContext(ctx))
	fmt.Println("another write under it:", errors.Is(err, idem.ErrMismatch))
	// Output:
	// invoices: 1
	// another write under it: true
}

// A tool with more than one write names each. Each is an intent of its own, a child:
// when the tool runs again, it repeats none.
func ExampleWithOperation_children() {
	server, path, done := sandbox()
	defer done()
	client, err := idem.Open(path, billing())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	sdk := &http.Client{Transport: client.Transport(nil)}
	// Natural: running it again is safe, since its every write is an intent.
	bill, err := idem.NewTool(client, "bill_both", idem.Policy{Contract: idem.Natural()}, func(ctx context.Context, _ string, cents []string) (int, error) {
		for i, amount := range cents {
			write := idem.WithOperation(ctx, idem.Operation{Name: "create_invoice", ID: fmt.Sprint("part ", i)})
			resp, err := sdk.Do(invoiceOf(server.URL(), amount).WithContext(write))
			if err != nil {
				return 0, err
			}
			resp.Body.Close()
		}
		return len(cents), nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	n, err := bill.Call(context.Background(), "order-1234", []string{"500", "700"})
	fmt.Println(n, err, "invoices:", len(server.Effects()))
	// Output:
	// 2 <nil> invoices: 2
}

// FromContext is the intent being carried out: its key, its operation. On the
// context that WithOperation made it is also there afterwards.
func ExampleFromContext() {
	client, done := withJournal()
	defer done()
	pay, err := idem.NewTool(client, "pay", idem.Policy{}, func(ctx context.Context, key string, in transfer) (receipt, error) {
		intent, ok := idem.FromContext(ctx)
		fmt.Println("inside:", ok, intent.Key() == key, intent.Operation())
		return receipt{}, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := idem.WithOperation(context.Background(), idem.Operation{Scope: "run-42"})
	for range 2 {
		if _, err := pay.Call(ctx, "step-3", transfer{To: "Ada"}); err != nil {
			fmt.Println(err)
			return
		}
		intent, _ := idem.FromContext(ctx)
		fmt.Println("after:", intent.State(), "replayed:", intent.Replayed())
	}
	// Output:
	// inside: true true pay step-3 in run-42
	// after: succeeded replayed: false
	// after: succeeded replayed: true
}

// NotSent says that nothing left this machine: it is tried again, and what was given
// up may be asked for again under the same ID.
func ExampleNotSent() {
	client, done := withJournal()
	defer done()
	online, tries := false, 0
	p := idem.Policy{Retry: idem.Retry{MaxAttempts: 2, MinBackoff: time.Millisecond}}
	pay, err := idem.NewTool(client, "pay", p, func(context.Context, string, transfer) (receipt, error) {
		tries++
		if !online {
			return receipt{}, idem.NotSent(errors.New("no route to the bank"))
		}
		return receipt{Number: 7}, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = pay.Call(context.Background(), "step-3", transfer{To: "Ada"})
	fmt.Println(errors.Is(err, idem.ErrNotSent), errors.Is(err, idem.ErrInDoubt), "tries:", tries)
	online = true
	r, err := pay.Call(context.Background(), "step-3", transfer{To: "Ada"})
	fmt.Println(r.Number, err)
	// Output:
	// true false tries: 2
	// 7 <nil>
}

// Refused says that the far side refused and nothing happened. The refusal is the
// outcome; mended arguments are a new intent.
func ExampleRefused() {
	client, done := withJournal()
	defer done()
	asked := 0
	pay, err := idem.NewTool(client, "pay", idem.Policy{}, func(_ context.Context, _ string, in transfer) (receipt, error) {
		asked++
		if in.To == "Addda" {
			return receipt{}, idem.Refused(errors.New("no such account: Addda"))
		}
		return receipt{Number: 7}, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		_, err := pay.Call(context.Background(), "step-3", transfer{To: "Addda"})
		fmt.Println(errors.Is(err, idem.ErrRefused), "asked:", asked)
	}
	r, err := pay.Call(context.Background(), "step-3", transfer{To: "Ada"})
	fmt.Println(r.Number, err)
	// Output:
	// true asked: 1
	// true asked: 1
	// 7 <nil>
}

// Advice is what a model is told of an error: one sentence. It is empty where no
// model can help, such as a journal that cannot be written.
func ExampleAdvice() {
	client, done := withJournal()
	defer done()
	limit := idem.Limit{Intents: 1, Per: time.Hour}
	pay, err := idem.NewTool(client, "pay", idem.Policy{Limit: limit}, func(_ context.Context, _ string, in transfer) (receipt, error) {
		return receipt{}, errors.New("the connection was lost") // any other error: it may have happened
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, step := range []string{"step-1", "step-2"} {
		_, err := pay.Call(context.Background(), step, transfer{To: "Ada"})
		fmt.Println(idem.Advice(err))
	}
	fmt.Printf("%q\n", idem.Advice(context.Canceled))
	// Output:
	// It may have happened and nobody can tell yet; do not try it in another way, go on with something else or ask a person.
	// The limit for this action is reached; stop asking for it and tell the user.
	// ""
}
