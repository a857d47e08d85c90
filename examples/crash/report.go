package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
)

func introduce(out io.Writer) {
	fmt.Fprint(out, `An agent bills three orders at a Stripe-style server, each of the two a process of
its own. During the second order the agent is killed with SIGKILL at the worst
moment: the server has created the invoice, and the agent has not read the reply.
Then the agent is started again. How often was each order billed?
`)
}

// showFinished is what the plain agent has on disk.
func showFinished(_ context.Context, out io.Writer, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "    %s: %s\n", base(file), strings.Join(strings.Fields(string(text)), ", "))
	fmt.Fprintf(out, "    Nothing about %s: neither that it was sent, nor its key.\n", theOne)
	return nil
}

// showJournal is what the agent with idem has on disk. Reading it changes nothing
// in it.
func showJournal(ctx context.Context, out io.Writer, file string) error {
	fmt.Fprintf(out, "    %s:\n", base(file))
	table := newTable(out)
	row(table, "operation", "ID", "key", "state", "target")
	err := eachIntent(ctx, file, func(in *idem.Intent) {
		state := in.State().String()
		if in.State() == idem.Pending && !in.FirstSent().IsZero() {
			state += ", may have been sent"
		}
		_, path, _ := strings.Cut(in.Target(), "/")
		method, _, _ := strings.Cut(in.Target(), " ")
		row(table, in.Operation().Name, in.Operation().ID, in.Key(), state, method+" /"+path)
	})
	return errors.Join(err, table.Flush())
}

func eachIntent(ctx context.Context, journal string, do func(*idem.Intent)) (err error) {
	client, err := openIdem(journal)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	for in, err := range client.Intents(ctx, idem.Filter{}) {
		if err != nil {
			return err
		}
		do(in)
	}
	return nil
}

// knownIntents is a journal as the server's ledger can be compared with.
func knownIntents(ctx context.Context, journal string) (known []idemtest.KnownIntent, err error) {
	err = eachIntent(ctx, journal, func(in *idem.Intent) {
		known = append(known, idemtest.KnownIntent{
			Key: in.Key(), State: strings.ReplaceAll(in.State().String(), " ", ""), Outcome: in.Outcome(),
			Body: in.PayloadHash(), Attempts: in.Attempts(), FirstSent: in.FirstSent(),
		})
	})
	return known, err
}

// showArrivals is every request that the server got, with its key and what it did.
func showArrivals(out io.Writer, l idemtest.Ledger) {
	table := newTable(out)
	row(table, "", "order", "Idempotency-Key", "the server")
	for _, a := range l.Arrivals {
		e := effectOf(l, a)
		did := fmt.Sprintf("%s %d", a.Did, a.Status)
		switch a.Did {
		case idemtest.DidExecute:
			did = "created " + e.Object
			if a.Fault == idemtest.HoldReply {
				did += " (reply never read)"
			}
		case idemtest.DidReplay:
			did = "knew the key, sent the reply about " + e.Object + " again"
		}
		row(table, fmt.Sprint(a.Seq), e.Metadata["order"], a.Key, did)
	}
	table.Flush()
}

func effectOf(l idemtest.Ledger, a idemtest.Arrival) idemtest.Effect {
	for _, e := range l.Effects {
		if e.ID == a.EffectID {
			return e
		}
	}
	return idemtest.Effect{}
}

// compare is the table at the end.
func compare(out io.Writer, plain, withIdem idemtest.Ledger) {
	fmt.Fprintf(out, "\nThe same crash\n──────────────\n")
	table := newTable(out)
	row(table, "", "plain client", "idem")
	row(table, "requests that reached the server", fmt.Sprint(len(plain.Arrivals)), fmt.Sprint(len(withIdem.Arrivals)))
	row(table, "invoices created", fmt.Sprint(len(plain.Effects)), fmt.Sprint(len(withIdem.Effects)))
	for _, o := range orders() {
		row(table, "charges for "+o.id, fmt.Sprint(charges(plain, o.id)), fmt.Sprint(charges(withIdem, o.id)))
	}
	table.Flush()
}

func charges(l idemtest.Ledger, order string) int {
	n := 0
	for _, e := range l.Effects {
		if e.Metadata["order"] == order {
			n++
		}
	}
	return n
}

// verdict is the error that says what is not as it should be.
func verdict(out io.Writer, plain, withIdem idemtest.Ledger, known []idemtest.KnownIntent) error {
	var wrong []string
	expect := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	for _, o := range orders() {
		want := 1
		if o.id == theOne {
			want = 2
		}
		n := charges(plain, o.id)
		expect(n == want, "the plain client charged %s %d times, expected %d", o.id, n, want)
		n = charges(withIdem, o.id)
		expect(n == 1, "with idem %s was charged %d times, expected 1", o.id, n)
	}
	for _, v := range append(withIdem.Check(), withIdem.CheckAgainst(known)...) {
		expect(false, "the server's ledger and the journal disagree: %s", v)
	}
	sent := 0
	for _, k := range known {
		expect(k.State == "succeeded", "the journal says that the intent with key %s is %s", k.Key, k.State)
		sent = max(sent, len(withIdem.ArrivalsOf(k.Key)))
	}
	expect(sent == 2, "no key arrived twice, so nothing was shown")
	if len(wrong) > 0 {
		return errors.New("this is not what should have happened:\n  " + strings.Join(wrong, "\n  "))
	}
	fmt.Fprintf(out, "\nWith idem the second request for %s carried the key and the bytes of the first, from the\njournal, so the server sent its stored reply again instead of creating another invoice.\n", theOne)
	return nil
}

func newTable(out io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(out, 0, 0, 2, ' ', 0) }

func row(table io.Writer, cells ...string) {
	fmt.Fprintln(table, strings.TrimRight("    "+strings.Join(cells, "\t"), "\t "))
}
