package idem_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
)

// A charge whose reply was lost, at a provider that keeps keys for a moment only:
// when the next call comes, the key is too old to be sent again. Reconcile looks for
// the charge by its metadata and settles it.
func ExamplePolicy_reconcile() {
	server, err := idemtest.NewServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	folder, err := os.MkdirTemp("", "idem")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)

	shortMemory := idem.Stripe()
	shortMemory.Name, shortMemory.Retention = "short", 3*time.Second
	authorize := func(r *http.Request) error {
		r.Header.Set("Authorization", "Bearer sk_test_idem")
		return nil
	}
	reconcile := true
	policy := idem.Policy{
		Contract: shortMemory, Authorize: authorize,
		Retry: idem.Retry{MaxAttempts: 1, AttemptTimeout: 2500 * time.Millisecond},
		Reconcile: func(ctx context.Context, in *idem.Intent) (idem.Resolution, error) {
			if !reconcile {
				return idem.Resolution{}, errors.New("the search is down")
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL()+"/v1/charges?metadata[order]="+in.Operation().ID, nil)
			if err != nil {
				return idem.Resolution{}, err
			}
			if err := authorize(req); err != nil {
				return idem.Resolution{}, err
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return idem.Resolution{}, err
			}
			defer resp.Body.Close()
			var found struct{ Data []json.RawMessage }
			if err := json.NewDecoder(resp.Body).Decode(&found); err != nil {
				return idem.Resolution{}, err
			}
			if len(found.Data) == 0 {
				return idem.Resolution{}, nil // it may still be under way: nobody knows
			}
			return idem.Resolution{State: idem.Succeeded, Result: found.Data[0], Note: "found by metadata"}, nil
		},
	}
	client, err := idem.Open(filepath.Join(folder, "agent.db"), idem.WithPolicy("charge", policy))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	charge := func() error {
		req, err := http.NewRequest(http.MethodPost, server.URL()+"/v1/charges",
			strings.NewReader("amount=500&currency=eur&metadata[order]=order-1"))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		_, err = client.Do(req, idem.Operation{Name: "charge", ID: "order-1"})
		return err
	}
	server.Script(idemtest.Fault{Kind: idemtest.DropAfter}) // it is charged, and the reply is lost
	reconcile = false
	var doubt *idem.InDoubtError
	if err := charge(); errors.As(err, &doubt) {
		fmt.Println("in doubt:", doubt.Operation)
	}
	time.Sleep(time.Until(doubt.SafeUntil)) // the window closes
	fmt.Println("not settled:", errors.Is(charge(), idem.ErrInDoubt))
	reconcile = true
	fmt.Println("asked again:", charge())
	in, err := client.Lookup(context.Background(), doubt.Key)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(in.State(), "with", len(server.Effects()), "charge at the server")
	for _, e := range in.History() {
		fmt.Println("-", e.State, "-", e.Reason)
	}
	// Output:
	// in doubt: charge order-1
	// not settled: true
	// asked again: <nil>
	// succeeded with 1 charge at the server
	// - pending - begun
	// - pending - connection lost
	// - pending - reconcile failed
	// - in doubt - connection lost
	// - pending - claimed
	// - pending - reconcile failed
	// - in doubt - not safe to send again
	// - pending - claimed
	// - succeeded - reconciled
}
