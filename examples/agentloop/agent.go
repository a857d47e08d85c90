package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/idem-go/idem"
)

// agent is the agent's process: open, recover, and the loop. There is nothing in the
// loop about crashes, and nothing about what was done before.
func agent(ctx context.Context, args []string, out io.Writer) (err error) {
	if len(args) != 3 {
		return errors.New("agent needs the addresses of the payments server and the post office, and the path of its journal")
	}
	client, err := idem.Open(args[2])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	if err := register(client, args[0], args[1]); err != nil {
		return err
	}
	report, err := client.Recover(ctx)
	if err != nil {
		return err
	}
	if report.Succeeded+report.Failed+report.InDoubt+report.Skipped > 0 {
		fmt.Fprintf(out, "Recover: %d finished, %d failed, %d in doubt\n", report.Succeeded, report.Failed, report.InDoubt)
	}

	ctx = idem.WithScope(ctx, "task-7") // one task, in however many lives
	var said []turn
	for {
		c, done := next(said)
		if done != "" {
			fmt.Fprintf(out, "model: %s\n", done)
			break
		}
		fmt.Fprintf(out, "model: %s %s %s\n", c.ID, c.Tool, c.Args)
		t := turn{call: c}
		result, err := client.Call(ctx, c.Tool, c.ID, c.Args)
		if t.result = string(result); err != nil {
			if t.result, t.failed = idem.Advice(err), true; t.result == "" {
				return err // the program's business, not the model's
			}
		}
		fmt.Fprintf(out, "       ← %s\n", t.result)
		said = append(said, t)
	}
	s, err := client.Stats(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "idem:  %d duplicates prevented, %d mismatches, %d over the limit, %d in doubt\n",
		s.DuplicatesPrevented, s.ByReason["mismatch"], s.ByReason["limit"], s.InDoubt)
	return nil
}
