// Command consumer takes orders from a queue that delivers at least once, NATS
// JetStream, and charges each once. It starts the NATS server and a Stripe-style
// server in its own process, and the consumer as another, which it kills with
// SIGKILL twice before its ack: once when the charge was made and its reply not yet
// read, once when the outcome was recorded. The queue delivers both messages again.
// At the end deliveries and charges are counted at the servers.
//
//	cd examples/consumer && go run .
//
// It needs no network. The exit code is 0 if each message's effect happened once,
// else 1. No file is left behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/idem-go/idem/idemtest"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := dispatch(ctx, args, in, out, errOut)
	if errors.Is(err, flag.ErrHelp) {
		return 2
	}
	if err != nil {
		fmt.Fprintln(errOut, "consumer:", err)
		return 1
	}
	return 0
}

// dispatch is this program's two parts: it starts itself again as the consumer.
func dispatch(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) error {
	if len(args) > 0 && args[0] == "consume" {
		return consume(ctx, args[1:], in, out)
	}
	flags := flag.NewFlagSet("consumer", flag.ContinueOnError)
	flags.SetOutput(errOut)
	lose := flags.Bool("lose-journal", false,
		"negative control: each life of the consumer gets an empty journal; this program must then exit 1")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("there is no %q: call it without arguments", flags.Arg(0))
	}
	return show(ctx, out, *lose)
}

// orders are the messages, by their ids.
func orders() []string { return []string{"order-1", "order-2", "order-3", "order-4", "order-5"} }

const (
	killedAtReply = "order-2" // the charge is made, the reply is held
	killedAtAck   = "order-4" // the outcome is recorded, the ack is not sent
)

func show(ctx context.Context, out io.Writer, loseJournal bool) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	folder, err := os.MkdirTemp("", "idem-consumer-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	payments, err := idemtest.NewServer()
	if err != nil {
		return err
	}
	defer payments.Close()
	if err := payments.Script(idemtest.Fault{}, idemtest.Fault{Kind: idemtest.HoldReply}); err != nil {
		return err
	}
	q, err := startQueue(ctx, filepath.Join(folder, "queue"))
	if err != nil {
		return err
	}
	defer q.close()
	if err := q.publish(ctx, orders()); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d messages are in the queue.\n", len(orders()))

	for life, until := range []struct {
		title string
		wait  func(context.Context, *child) error
	}{
		{"killed after the charge of " + killedAtReply + ", before its reply is read", func(ctx context.Context, _ *child) error { return payments.WaitEffects(ctx, 2) }},
		{"killed after the outcome of " + killedAtAck + " was recorded, before its ack", func(ctx context.Context, c *child) error { return c.waitFor(ctx, hanging) }},
		{"comes to its end", func(ctx context.Context, _ *child) error { return q.waitEmpty(ctx) }},
	} {
		fmt.Fprintf(out, "\nLife %d: %s\n", life+1, until.title)
		journal := filepath.Join(folder, "consumer.db")
		if loseJournal {
			journal = filepath.Join(folder, fmt.Sprintf("consumer%d.db", life))
		}
		c, err := start(ctx, "consume", q.url(), payments.URL(), journal, killedAtAck)
		if err != nil {
			return err
		}
		if err := c.alive(ctx, until.wait); err != nil {
			return errors.Join(err, c.kill())
		}
		if life < 2 {
			err = c.kill()
		} else {
			err = c.stop()
		}
		c.tell(out)
		if err != nil {
			return err
		}
	}
	return verdict(out, q, payments)
}

// verdict counts where things happened.
func verdict(out io.Writer, q *queue, payments *idemtest.Server) error {
	charges := map[string]int{}
	for _, e := range payments.Effects() {
		charges[e.Metadata["order"]]++
	}
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  message\tcharges")
	once := true
	for _, id := range orders() {
		fmt.Fprintf(table, "  %s\t%d\n", id, charges[id])
		once = once && charges[id] == 1
	}
	if err := table.Flush(); err != nil {
		return err
	}
	again, err := q.deliveredAgain()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "  %d deliveries were repetitions.\n", again)
	switch {
	case !once:
		return errors.New("not each message's effect happened once")
	case again < 2:
		return errors.New("the queue did not deliver again: nothing was shown")
	}
	fmt.Fprintln(out, "Each message's effect happened once.")
	return nil
}
