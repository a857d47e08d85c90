package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/idem-go/idem"
)

// openIdem opens the agent's journal. The policy says that create_invoice goes to
// an API that keeps Stripe's promise about keys, and puts the credentials back
// into what a crash left open: they are never on disk.
func openIdem(journal string) (*idem.Client, error) {
	return idem.Open(journal, idem.WithPolicy("create_invoice", idem.Policy{
		Contract: idem.Stripe(),
		Authorize: func(r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+secret)
			return nil
		},
	}))
}

// idemAgent is the process that bills the orders with idem. There is nothing in
// it about crashes but the call of Recover, and no list of what was done.
func idemAgent(ctx context.Context, args []string, out io.Writer) (err error) {
	if len(args) != 2 {
		return errors.New("idem-agent needs the server's address and the path of its journal")
	}
	client, err := openIdem(args[1])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()

	report, err := client.Recover(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Recover: %d finished, %d failed, %d in doubt\n", report.Succeeded, report.Failed, report.InDoubt)
	for _, o := range orders() {
		if err := billWithIdem(ctx, client, args[0], o, out); err != nil {
			return fmt.Errorf("%s: %w", o.id, err)
		}
	}
	return nil
}

// billWithIdem is client.Do in its two halves, so that it can say in between what
// is on disk.
func billWithIdem(ctx context.Context, client *idem.Client, server string, o order, out io.Writer) error {
	req, err := invoiceRequest(ctx, server, o)
	if err != nil {
		return err
	}
	intent, err := client.Begin(ctx, idem.Operation{Name: "create_invoice", Scope: "billing", ID: o.id}, req)
	if err != nil {
		return err
	}
	if intent.State() == idem.Pending {
		fmt.Fprintf(out, "%s: its intent is on disk; now sending under key %s\n", o.id, intent.Key())
	}
	resp, err := intent.Do(ctx)
	if err != nil {
		return err
	}
	id, err := invoiceID(resp)
	if err != nil {
		return err
	}
	if intent.Replayed() {
		fmt.Fprintf(out, "%s: %s, from the journal, nothing sent\n", o.id, id)
	} else {
		fmt.Fprintf(out, "%s: %s\n", o.id, id)
	}
	return nil
}

// invoiceID reads the reply to an invoiceRequest.
func invoiceID(resp *http.Response) (string, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	var invoice struct{ ID string }
	if err := json.Unmarshal(body, &invoice); err != nil || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the server answered %s: %.200s", resp.Status, body)
	}
	return invoice.ID, nil
}
