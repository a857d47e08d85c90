// Command stripe runs the real stripe-go client through idem's Transport against a
// Stripe-style server that it starts itself. Each order is charged under another
// kind of trouble, and asked for twice, as an agent does that plans again. At the
// end the charges are counted at the server: first for stripe-go alone, then with
// idem, which makes one each.
//
//	cd examples/stripe && go run .
//
// It needs no network. The exit code is 0 if idem charged each order once, else 1.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/stripe/stripe-go/v86"
)

const secret = "sk_test_idem"

// trouble is what goes wrong while an order is charged.
type trouble struct {
	name   string
	faults []idemtest.Fault
}

func troubles() []trouble {
	return []trouble{
		{"none", nil},
		{"the reply is lost", []idemtest.Fault{{Kind: idemtest.DropAfter}}},
		{"the reply is cut", []idemtest.Fault{{Kind: idemtest.CutBody}}},
		{"the connection is reset twice", []idemtest.Fault{{Kind: idemtest.ResetAfter}, {Kind: idemtest.ResetBefore}}},
		{"409, the key is in use", []idemtest.Fault{{Kind: idemtest.InFlightOverlap, Delay: 20 * time.Millisecond}}},
		{"500, nothing was done", []idemtest.Fault{{Kind: idemtest.Error500Before}}},
		{"500, and it was charged", []idemtest.Fault{{Kind: idemtest.Error500After}}},
		{"429, then 502 after the charge", []idemtest.Fault{{Kind: idemtest.TooMany}, {Kind: idemtest.Proxy502After}}},
	}
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("stripe", flag.ContinueOnError)
	flags.SetOutput(errOut)
	ignore := flags.Bool("ignore-keys", false, "negative control: a server that ignores keys; this program must then exit 1")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	var opts []idemtest.ServerOption
	if *ignore {
		opts = append(opts, idemtest.IgnoreKeys())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := show(ctx, out, opts); err != nil {
		fmt.Fprintln(errOut, "stripe:", err)
		return 1
	}
	return 0
}

func show(ctx context.Context, out io.Writer, opts []idemtest.ServerOption) error {
	alone, err := trial(ctx, opts, stripeAlone)
	if err != nil {
		return err
	}
	withIdem, err := trial(ctx, opts, stripeWithIdem)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "Charges at the server, each order being asked for twice:")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  trouble\tstripe-go alone\twith idem")
	once := true
	for i, t := range troubles() {
		fmt.Fprintf(table, "  %s\t%d\t%d\n", t.name, alone[i], withIdem[i])
		once = once && withIdem[i] == 1
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if !once {
		return errors.New("idem did not charge each order once")
	}
	fmt.Fprintln(out, "With idem each order was charged once.")
	return nil
}

// charger charges an order, as an agent's tool would.
type charger func(ctx context.Context, order string) error

// trial charges each order twice and counts the charges at the server.
func trial(ctx context.Context, opts []idemtest.ServerOption, with func(server string) (charger, func() error, error)) (counts []int, err error) {
	server, err := idemtest.NewServer(opts...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	charge, done, err := with(server.URL())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	for i, t := range troubles() {
		if err := server.Script(t.faults...); err != nil {
			return nil, err
		}
		order := fmt.Sprintf("order-%d", i)
		before := len(server.Effects())
		for range 2 {
			// stripe-go alone gives up here and there: the agent asks again, when what
			// the server began has had its effect.
			if err := charge(ctx, order); errors.Is(err, context.DeadlineExceeded) {
				return nil, err
			}
			if len(t.faults) > 0 && t.faults[0].Kind.Acts() {
				if err := server.WaitEffects(ctx, before+1); err != nil {
					return nil, err
				}
			}
		}
		server.ClearScript()
		n := 0
		for _, e := range server.Effects() {
			if e.Kind == "charge" && e.Metadata["order"] == order {
				n++
			}
		}
		counts = append(counts, n)
	}
	return counts, nil
}

// newStripe is a stripe-go client on our server.
func newStripe(server string, config stripe.BackendConfig) *stripe.Client {
	config.URL = stripe.String(server)
	config.LeveledLogger = &stripe.LeveledLogger{Level: stripe.LevelNull}
	return stripe.NewClient(secret, stripe.WithBackends(stripe.NewBackendsWithConfig(&config)))
}

func create(ctx context.Context, sc *stripe.Client, order string) error {
	params := &stripe.ChargeCreateParams{Amount: stripe.Int64(4200), Currency: stripe.String("eur")}
	params.AddMetadata("order", order)
	_, err := sc.V1Charges.Create(ctx, params)
	return err
}

// stripeAlone is stripe-go as it comes, with its own retries.
func stripeAlone(server string) (charger, func() error, error) {
	sc := newStripe(server, stripe.BackendConfig{})
	return func(ctx context.Context, order string) error { return create(ctx, sc, order) }, func() error { return nil }, nil
}

// stripeWithIdem is stripe-go on idem's Transport. One retry loop is enough, so
// stripe-go's own is off.
func stripeWithIdem(server string) (charger, func() error, error) {
	folder, err := os.MkdirTemp("", "idem-stripe-")
	if err != nil {
		return nil, nil, err
	}
	client, err := idem.Open(filepath.Join(folder, "agent.db"), idem.WithPolicy("stripe.*", idem.Policy{
		Contract:  idem.Stripe(),
		Retry:     idem.Retry{MinBackoff: 10 * time.Millisecond, MaxBackoff: 100 * time.Millisecond},
		Reconcile: reconcile(server),
	}))
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(folder))
	}
	sc := newStripe(server, stripe.BackendConfig{
		HTTPClient:        &http.Client{Transport: client.Transport(nil)},
		MaxNetworkRetries: stripe.Int64(0),
	})
	charge := func(ctx context.Context, order string) error {
		ctx = idem.WithOperation(ctx, idem.Operation{Name: "stripe.charge", Scope: "billing", ID: order})
		return create(ctx, sc, order)
	}
	return charge, func() error { return errors.Join(client.Close(), os.RemoveAll(folder)) }, nil
}

// reconcile looks at Stripe for what a stored 500 leaves open: whether the charge is
// there. Stripe keeps the 500 under the key, so that asking again settles nothing.
func reconcile(server string) func(context.Context, *idem.Intent) (idem.Resolution, error) {
	return func(ctx context.Context, in *idem.Intent) (idem.Resolution, error) {
		sent, err := url.ParseQuery(string(in.Payload()))
		if err != nil {
			return idem.Resolution{}, err
		}
		query := url.Values{"metadata[order]": {sent.Get("metadata[order]")}}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/v1/charges?"+query.Encode(), nil)
		if err != nil {
			return idem.Resolution{}, err
		}
		req.Header.Set("Authorization", "Bearer "+secret)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return idem.Resolution{}, err
		}
		defer resp.Body.Close()
		var found struct{ Data []json.RawMessage }
		if err := json.NewDecoder(resp.Body).Decode(&found); err != nil || resp.StatusCode != http.StatusOK {
			return idem.Resolution{}, fmt.Errorf("searching answered %s: %w", resp.Status, err)
		}
		if len(found.Data) == 0 {
			return idem.Resolution{State: idem.Failed, Note: "no charge of that order"}, nil
		}
		return idem.Resolution{State: idem.Succeeded, Result: found.Data[0], Note: "found by its order"}, nil
	}
}
