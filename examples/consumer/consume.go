package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/idem-go/idem"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

type charge struct {
	Order string `json:"order"`
	Cents int    `json:"cents"`
}

type charged struct {
	Charge string `json:"charge"`
}

// hanging is what the consumer says when it hangs before an ack, to be killed.
const hanging = "now it hangs before its ack"

// consume is the consumer's process. It ends when its input ends.
func consume(ctx context.Context, args []string, in io.Reader, out io.Writer) (err error) {
	if len(args) != 4 {
		return errors.New("consume needs the addresses of the queue and the payments server, the path of its journal, and a message to hang at")
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		io.Copy(io.Discard, in) // until it ends, however it does
		cancel()
	}()
	// An empty scope would be a bug here: a message says nothing of its own scope.
	client, err := idem.Open(args[2], idem.WithRequireScope())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	tool, err := idem.NewTool(client, "charge", idem.Policy{Contract: idem.Stripe()}, charger(client, args[1]))
	if err != nil {
		return err
	}
	report, err := client.Recover(ctx)
	if err != nil {
		return err
	}
	if report.Succeeded+report.Failed+report.InDoubt+report.Skipped > 0 {
		fmt.Fprintf(out, "Recover: %d finished, %d failed, %d in doubt\n", report.Succeeded, report.Failed, report.InDoubt)
	}

	conn, err := nats.Connect(args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	consumer, err := js.Consumer(ctx, streamName, consumerName)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(1))
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	for {
		m, err := messages.Next()
		if errors.Is(err, jetstream.ErrMsgIteratorClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := take(ctx, tool, m, args[3], out); err != nil {
			if ctx.Err() != nil {
				return nil // told to stop before the queue confirmed the ack: at worst it is delivered again
			}
			return err
		}
	}
}

// take does what one message asks for, and tells the queue what became of it. The
// message's id is the intent's ID, and the queue its scope.
func take(ctx context.Context, tool *idem.Tool[charge, charged], m jetstream.Msg, hangAt string, out io.Writer) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	id := m.Headers().Get(jetstream.MsgIDHeader)
	if id == "" { // the publisher named none: the stream's number is as lasting
		id = fmt.Sprint(meta.Sequence.Stream)
	}
	var in charge
	if err := json.Unmarshal(m.Data(), &in); err != nil {
		return m.TermWithReason("it is not a charge") // no redelivery would mend it
	}
	op := idem.WithOperation(ctx, idem.Operation{Scope: "queue " + meta.Stream, Cost: int64(in.Cents)})
	got, err := tool.Call(op, id, in)
	what := got.Charge
	if intent, ok := idem.FromContext(op); ok && intent.Replayed() {
		what += ", from the journal"
	}
	if err != nil {
		what = err.Error()
	}
	fmt.Fprintf(out, "%s, delivery %d: %s\n", id, meta.NumDelivered, what)
	if id == hangAt && meta.NumDelivered == 1 {
		fmt.Fprintln(out, hanging)
		<-ctx.Done()
		return ctx.Err()
	}
	switch {
	case err == nil, errors.Is(err, idem.ErrRefused), errors.Is(err, idem.ErrForgotten):
		return m.DoubleAck(ctx) // settled, one way or the other
	case errors.Is(err, idem.ErrMismatch):
		return m.TermWithReason("another message had this id")
	case ctx.Err() != nil:
		return nil // delivered again after ackWait
	}
	// In doubt, over a limit, not sent: later, up to the consumer's MaxDeliver. What
	// is still in doubt then is listed by Client.Intents, for a person.
	return m.NakWithDelay(30 * time.Second)
}

// charger charges through the client's transport, which puts the tool's key on.
func charger(client *idem.Client, payments string) func(context.Context, string, charge) (charged, error) {
	sdk := &http.Client{Transport: client.Transport(nil)}
	return func(ctx context.Context, _ string, in charge) (charged, error) {
		form := url.Values{"amount": {strconv.Itoa(in.Cents)}, "currency": {"eur"}, "metadata[order]": {in.Order}}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, payments+"/v1/charges", strings.NewReader(form.Encode()))
		if err != nil {
			return charged{}, idem.NotSent(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Authorization", "Bearer sk_test_idem")
		resp, err := sdk.Do(req)
		if err != nil {
			return charged{}, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return charged{}, err
		}
		var reply struct{ ID string }
		switch {
		case resp.StatusCode >= 400 && resp.StatusCode < 500:
			return charged{}, idem.Refused(fmt.Errorf("%s: %s", resp.Status, body))
		case resp.StatusCode != http.StatusOK:
			return charged{}, fmt.Errorf("%s: %s", resp.Status, body)
		}
		err = json.Unmarshal(body, &reply)
		return charged{reply.ID}, err
	}
}
