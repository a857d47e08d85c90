package idem_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
)

// sandbox is what the examples run against: a Stripe-style server on 127.0.0.1,
// and the path of a journal that is not there yet.
func sandbox() (server *idemtest.Server, path string, done func()) {
	folder, err := os.MkdirTemp("", "idem-example-")
	if err != nil {
		panic(err)
	}
	if server, err = idemtest.NewServer(idemtest.WithSecret("sk_test_example")); err != nil {
		panic(err)
	}
	return server, filepath.Join(folder, "agent.db"), func() {
		if err := errors.Join(server.Close(), os.RemoveAll(folder)); err != nil {
			panic(err)
		}
	}
}

// billing is the policy of the examples. Credentials are not journaled: Authorize
// puts them into every attempt, also after a restart.
func billing() idem.Option {
	return idem.WithPolicy("create_invoice", idem.Policy{
		Contract: idem.Stripe(),
		Authorize: func(r *http.Request) error {
			r.Header.Set("Authorization", "Bearer sk_test_example")
			return nil
		},
	})
}

// invoiceOf is the request that creates an invoice.
func invoiceOf(server string, cents string) *http.Request {
	form := url.Values{"amount": {cents}, "currency": {"eur"}}
	req, err := http.NewRequest(http.MethodPost, server+"/v1/invoices", strings.NewReader(form.Encode()))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

func ExampleOpen() {
	server, path, done := sandbox()
	defer done()

	client, err := idem.Open(path, idem.WithPolicy("create_invoice", idem.Policy{
		Contract: idem.Stripe(), // the far side keeps Stripe's promise about keys
		Authorize: func(r *http.Request) error { // credentials are never on disk
			r.Header.Set("Authorization", "Bearer sk_test_example")
			return nil
		},
	}))
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
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

func ExampleNew() {
	server, path, done := sandbox()
	defer done()

	journal, err := idem.OpenJournal(path) // or any other Journal
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := idem.New(journal, billing())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close() // closes the journal too

	resp, err := client.Do(invoiceOf(server.URL(), "500"), idem.Operation{Name: "create_invoice", ID: "order-1234"})
	fmt.Println(resp.StatusCode, err)
	// Output: 200 <nil>
}

// The same call again, in this process or in another, gets the first outcome.
func ExampleClient_Do() {
	server, path, done := sandbox()
	defer done()
	client, err := idem.Open(path, billing())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	op := idem.Operation{Name: "create_invoice", Scope: "run-42", ID: "order-1234"}
	for range 3 {
		resp, err := client.Do(invoiceOf(server.URL(), "500"), op)
		if err != nil {
			fmt.Println(err)
			return
		}
		var body strings.Builder
		io.Copy(&body, resp.Body)
		resp.Body.Close()
		fmt.Println(resp.StatusCode, body.String()[:12])
	}
	fmt.Println("invoices:", len(server.Effects()))

	// Another payload under the same ID is refused before anything is sent.
	_, err = client.Do(invoiceOf(server.URL(), "700"), op)
	fmt.Println(errors.Is(err, idem.ErrMismatch))
	// Output:
	// 200 {"id":"in_1"
	// 200 {"id":"in_1"
	// 200 {"id":"in_1"
	// invoices: 1
	// true
}

// Begin is the half of Do that never touches the network.
func ExampleClient_Begin() {
	server, path, done := sandbox()
	defer done()
	client, err := idem.Open(path, billing())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	ctx := context.Background()
	intent, err := client.Begin(ctx, idem.Operation{Name: "create_invoice", ID: "order-1234"}, invoiceOf(server.URL(), "500"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("on disk:", intent.State(), string(intent.Payload()))
	fmt.Println("arrived:", len(server.Arrivals()))

	resp, err := intent.Do(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(intent.State(), "under the key that Begin made:", len(server.EffectsOf(intent.Key())))
	// Output:
	// on disk: pending amount=500&currency=eur
	// arrived: 0
	// succeeded under the key that Begin made: 1
}

// A reply that is lost after the effect is asked for again under the same key.
func ExampleIntent_Do() {
	server, path, done := sandbox()
	defer done()
	client, err := idem.Open(path, billing())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	ctx := context.Background()
	intent, err := client.Begin(ctx, idem.Operation{Name: "create_invoice", ID: "order-1234"}, invoiceOf(server.URL(), "500"))
	if err != nil {
		fmt.Println(err)
		return
	}
	server.Script(idemtest.Fault{Kind: idemtest.DropAfter}) // it acts, and hangs up

	resp, err := intent.Do(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.StatusCode, "after", intent.Attempts(), "attempts")
	fmt.Println("requests:", len(server.Ledger().ArrivalsOf(intent.Key())), "invoices:", len(server.EffectsOf(intent.Key())))
	// Output:
	// 200 after 2 attempts
	// requests: 2 invoices: 1
}

// One ID means another thing in each scope: a tenant, a user, an agent run.
func ExampleWithScope() {
	server, path, done := sandbox()
	defer done()
	client, err := idem.Open(path, billing(), idem.WithRequireScope())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	op := idem.Operation{Name: "create_invoice", ID: "order-1"}
	for _, tenant := range []string{"acme", "globex", "acme"} {
		ctx := idem.WithScope(context.Background(), tenant)
		resp, err := client.Do(invoiceOf(server.URL(), "500").WithContext(ctx), op)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(tenant, "invoices so far:", len(server.Effects()))
	}
	_, err = client.Do(invoiceOf(server.URL(), "500"), op)
	fmt.Println(errors.Is(err, idem.ErrNoScope))
	// Output:
	// acme invoices so far: 1
	// globex invoices so far: 2
	// acme invoices so far: 2
	// true
}
