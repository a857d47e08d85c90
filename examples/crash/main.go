// Command crash shows what idem is for. It starts a Stripe-style server and an
// agent that bills three orders there, each as a process of its own, kills the
// agent with SIGKILL after the server has created an invoice and before the agent
// has read the reply, starts it again, and counts the invoices. It does so first
// with a plain retrying client, then with idem.
//
//	go run ./examples/crash
//
// It needs no network and leaves no file behind. The exit code is 0 if the plain
// client billed one order twice and idem billed each of them once, else 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/idem-go/idem/idemtest"
)

// secret is the API key that the server wants.
const secret = "sk_test_idem"

// order is one thing that the agent has to bill.
type order struct {
	id    string
	cents int
}

func orders() []order {
	return []order{{"order-1001", 1900}, {"order-1002", 4200}, {"order-1003", 700}}
}

// theOne is the order during which the agent is killed.
const theOne = "order-1002"

// invoiceRequest is the call that bills an order, without credentials and key.
func invoiceRequest(ctx context.Context, server string, o order) (*http.Request, error) {
	form := url.Values{
		"amount": {strconv.Itoa(o.cents)}, "currency": {"eur"}, "customer": {"cus_ada"},
		"metadata[order]": {o.id},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server+"/v1/invoices", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req, nil
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := dispatch(ctx, args, out, errOut)
	if errors.Is(err, flag.ErrHelp) {
		return 2
	}
	if err != nil {
		fmt.Fprintln(errOut, "crash:", err)
		return 1
	}
	return 0
}

// dispatch is this program's four parts: it starts itself again as the other
// three.
func dispatch(ctx context.Context, args []string, out, errOut io.Writer) error {
	switch part, rest := first(args); part {
	case "server":
		return serve(rest, out)
	case "plain-agent":
		return plainAgent(ctx, rest, out)
	case "idem-agent":
		return idemAgent(ctx, rest, out)
	}
	flags := flag.NewFlagSet("crash", flag.ContinueOnError)
	flags.SetOutput(errOut)
	lose := flags.Bool("lose-journal", false,
		"negative control: the restarted agent gets an empty journal, and so makes new keys; this program must then exit 1")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("there is no %q: call it without arguments", flags.Arg(0))
	}
	return show(ctx, out, *lose)
}

func first(args []string) (string, []string) {
	if len(args) == 0 {
		return "", nil
	}
	return args[0], args[1:]
}

// show runs the crash twice and compares.
func show(ctx context.Context, out io.Writer, loseJournal bool) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	folder, err := os.MkdirTemp("", "idem-crash-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()

	introduce(out)
	plain := &trial{out: out, part: "plain-agent", title: "1. A plain retrying client", disk: showFinished,
		files: [2]string{filepath.Join(folder, "finished.txt"), filepath.Join(folder, "finished.txt")}, store: filepath.Join(folder, "plain.ledger")}
	if err := plain.run(ctx); err != nil {
		return err
	}
	journal := filepath.Join(folder, "agent.db")
	withIdem := &trial{out: out, part: "idem-agent", title: "2. The same crash with idem", disk: showJournal,
		files: [2]string{journal, journal}, store: filepath.Join(folder, "idem.ledger")}
	if loseJournal {
		withIdem.files[1] = filepath.Join(folder, "empty.db")
	}
	if err := withIdem.run(ctx); err != nil {
		return err
	}
	known, err := knownIntents(ctx, withIdem.files[1])
	if err != nil {
		return err
	}
	compare(out, plain.ledger, withIdem.ledger)
	return verdict(out, plain.ledger, withIdem.ledger, known)
}

// trial is one crash with one kind of agent.
type trial struct {
	out         io.Writer
	title, part string
	files       [2]string // what the agent keeps on disk, before the crash and after it
	store       string    // what the server keeps on disk
	disk        func(ctx context.Context, out io.Writer, file string) error

	ledger idemtest.Ledger // all that the server saw, when it is over
}

func (t *trial) run(ctx context.Context) error {
	fmt.Fprintf(t.out, "\n%s\n%s\n", t.title, strings.Repeat("─", len(t.title)))
	server, address, err := startServer(ctx, t.store)
	if err != nil {
		return err
	}
	defer server.stop()
	remote := idemtest.Dial(address)
	// The first invoice goes well; the reply to the second is held back.
	if err := remote.ScriptPath(ctx, "/v1/invoices", idemtest.Fault{}, idemtest.Fault{Kind: idemtest.HoldReply}); err != nil {
		return err
	}

	agent, err := start(ctx, t.part, address, t.files[0])
	if err != nil {
		return err
	}
	defer agent.kill()
	if err := agent.alive(ctx, func(ctx context.Context) error { return remote.Wait(ctx, 2, 2) }); err != nil {
		return err
	}
	if err := agent.kill(); err != nil {
		return err
	}
	agent.tell(t.out)
	if err := remote.Release(ctx); err != nil {
		return err
	}
	if t.ledger, err = remote.Ledger(ctx); err != nil {
		return err
	}
	say(t.out, "server", "created %s for %s; its reply was never read", t.objectOf(theOne), theOne)
	say(t.out, "crash", "kill -9 %d", agent.pid())
	fmt.Fprintf(t.out, "\n  On the agent's disk now:\n")
	if err := t.disk(ctx, t.out, t.files[0]); err != nil {
		return err
	}

	fmt.Fprintln(t.out)
	again, err := start(ctx, t.part, address, t.files[1])
	if err != nil {
		return err
	}
	defer again.kill()
	if err := again.wait(); err != nil {
		return err
	}
	again.tell(t.out)
	if t.ledger, err = remote.Ledger(ctx); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "\n  What reached the server, by its own ledger:\n")
	showArrivals(t.out, t.ledger)
	return server.stop()
}

// objectOf is the invoice that the server made first for an order.
func (t *trial) objectOf(id string) string {
	for _, e := range t.ledger.Effects {
		if e.Metadata["order"] == id {
			return e.Object
		}
	}
	return "nothing"
}
