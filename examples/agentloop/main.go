// Command agentloop is a whole agent loop on idem: a model plans and calls tools,
// the agent runs them, and the model hears what came of it. The model is scripted,
// so that no network is needed, but it behaves as models do: it makes a new call id
// for every call, writes the same arguments differently each time, asks for the same
// thing twice with another amount, and gets stuck in a loop.
//
//	go run ./examples/agentloop
//
// The agent is a process of its own and is killed with SIGKILL twice between a tool
// call and its result: once when a refund was made, once when a mail was sent. Each
// time it is started again, knows nothing but its journal, and plans anew. At the
// end the effects are counted at the servers. The exit code is 0 if each thing
// happened once, else 1. No file is left behind.
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
	"time"

	"github.com/idem-go/idem/idemtest"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := dispatch(ctx, args, out, errOut)
	if errors.Is(err, flag.ErrHelp) {
		return 2
	}
	if err != nil {
		fmt.Fprintln(errOut, "agentloop:", err)
		return 1
	}
	return 0
}

// dispatch is this program's two parts: it starts itself again as the agent.
func dispatch(ctx context.Context, args []string, out, errOut io.Writer) error {
	if len(args) > 0 && args[0] == "agent" {
		return agent(ctx, args[1:], out)
	}
	flags := flag.NewFlagSet("agentloop", flag.ContinueOnError)
	flags.SetOutput(errOut)
	lose := flags.Bool("lose-journal", false,
		"negative control: each life of the agent gets an empty journal; this program must then exit 1")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("there is no %q: call it without arguments", flags.Arg(0))
	}
	return show(ctx, out, *lose)
}

// show gives the agent three lives.
func show(ctx context.Context, out io.Writer, loseJournal bool) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	folder, err := os.MkdirTemp("", "idem-agentloop-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	payments, err := idemtest.NewServer()
	if err != nil {
		return err
	}
	defer payments.Close()
	// The first reply is held back for good: the refund is made and nobody is told.
	if err := payments.ScriptPath("/v1/refunds", idemtest.Fault{Kind: idemtest.HoldReply}); err != nil {
		return err
	}
	post, err := newPostOffice()
	if err != nil {
		return err
	}
	defer post.close()

	fmt.Fprintln(out, "Task: refund order 1001, tell the customer by mail, and text her.")
	for life, until := range []struct {
		title string
		wait  func(context.Context) error // nil: to the end
	}{
		{"killed after the refund, before the reply is read", func(ctx context.Context) error { return payments.WaitEffects(ctx, 1) }},
		{"recovers; killed after the mail, before the reply is read", post.waitMail},
		{"recovers; comes to its end", nil},
	} {
		fmt.Fprintf(out, "\nLife %d: %s\n", life+1, until.title)
		journal := filepath.Join(folder, "agent.db")
		if loseJournal {
			journal = filepath.Join(folder, fmt.Sprintf("agent%d.db", life))
		}
		if err := live(ctx, out, until.wait, payments.URL(), post.url(), journal); err != nil {
			return err
		}
	}
	return verdict(out, payments, post)
}

// live runs the agent, to its end or until it is killed.
func live(ctx context.Context, out io.Writer, until func(context.Context) error, args ...string) error {
	a, err := start(ctx, append([]string{"agent"}, args...)...)
	if err != nil {
		return err
	}
	if until == nil {
		err := a.wait()
		a.tell(out)
		return err
	}
	if err := a.alive(ctx, until); err != nil {
		return errors.Join(err, a.kill())
	}
	if err := a.kill(); err != nil {
		return err
	}
	a.tell(out)
	fmt.Fprintf(out, "  kill -9 %d\n", a.cmd.Process.Pid)
	return nil
}

// verdict counts the effects where they happened.
func verdict(out io.Writer, payments *idemtest.Server, post *postOffice) error {
	refunds, cents := 0, ""
	for _, e := range payments.Effects() {
		if e.Kind == "refund" && e.Metadata["order"] == "1001" {
			refunds++
			cents = e.Params["amount"]
		}
	}
	fmt.Fprintf(out, "\nAt the servers:\n")
	fmt.Fprintf(out, "  refunds of order 1001   %d, of %s cents   (wanted: 1, of 4200; %d requests)\n", refunds, cents, len(payments.Arrivals()))
	fmt.Fprintf(out, "  mails to ada            %d                  (wanted: 1)\n", post.count("mail"))
	fmt.Fprintf(out, "  texts to ada            %d                  (wanted: 2, the limit)\n", post.count("text"))
	if refunds != 1 || cents != "4200" || post.count("mail") != 1 || post.count("text") != 2 {
		return errors.New("not each thing happened once")
	}
	fmt.Fprintln(out, "Each thing happened once.")
	return nil
}
