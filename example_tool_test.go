package idem_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/idem-go/idem"
)

type transfer struct {
	To    string `json:"to"`
	Cents int    `json:"cents"`
}

type receipt struct {
	Number int `json:"number"`
}

// A tool is any Go function. It is run once for each ID, and its first output is
// handed out again, also after a restart.
func ExampleNewTool() {
	_, path, done := sandbox()
	defer done()
	client, err := idem.Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	runs := 0
	pay, err := idem.NewTool(client, "pay", idem.Policy{}, func(ctx context.Context, key string, in transfer) (receipt, error) {
		if in.Cents <= 0 {
			return receipt{}, idem.Refused(errors.New("cents must be positive"))
		}
		runs++ // here it would call the bank, handing on the key
		return receipt{Number: runs}, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	ctx := idem.WithScope(context.Background(), "run-42")
	for range 2 {
		r, err := pay.Call(ctx, "step-3", transfer{To: "Ada", Cents: 500})
		fmt.Println(r.Number, err)
	}
	// What an agent loop does with a model's tool call.
	out, err := client.Call(ctx, "pay", "step-3", json.RawMessage(`{"cents": 500, "to": "Ada"}`))
	fmt.Println(string(out), err)

	_, err = client.Call(ctx, "pay", "step-4", json.RawMessage(`{"to": "Ada", "cents": 0}`))
	fmt.Println(idem.Advice(err))
	fmt.Println("runs:", runs)
	// Output:
	// 1 <nil>
	// 1 <nil>
	// {"number":1} <nil>
	// It was refused and nothing happened (cents must be positive): mend the arguments, or do without it.
	// runs: 1
}

// Transport is for SDKs that make their own requests. The operation travels in
// the context.
func ExampleClient_Transport() {
	server, path, done := sandbox()
	defer done()
	client, err := idem.Open(path, billing())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	sdk := &http.Client{Transport: client.Transport(nil)} // give this to the SDK, its own retries off

	ctx := idem.WithOperation(context.Background(), idem.Operation{Name: "create_invoice", Scope: "run-42", ID: "order-1234"})
	for range 2 {
		resp, err := sdk.Do(invoiceOf(server.URL(), "500").WithContext(ctx))
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		intent, _ := idem.FromContext(ctx)
		fmt.Println(resp.StatusCode, "replayed:", intent.Replayed())
	}
	fmt.Println("invoices:", len(server.Effects()))

	// Without an operation, nothing that changes anything is sent.
	_, err = sdk.Do(invoiceOf(server.URL(), "500"))
	fmt.Println(errors.Is(err, idem.ErrNoIntent))
	// Output:
	// 200 replayed: false
	// 200 replayed: true
	// invoices: 1
	// true
}
