package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
)

// plainAgent is the process that bills the orders with code as people write it by
// hand: it sends an idempotency key, tries again, and keeps a list of the finished
// orders on disk, so that a restart goes on where it was.
func plainAgent(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("plain-agent needs the server's address and the path of its list")
	}
	server, list := args[0], args[1]
	for _, o := range orders() {
		done, err := isFinished(list, o)
		if err != nil {
			return err
		}
		if done {
			fmt.Fprintf(out, "%s: in %s, nothing sent\n", o.id, base(list))
			continue
		}
		fmt.Fprintf(out, "%s: sending\n", o.id)
		id, err := billPlainly(ctx, server, o)
		if err != nil {
			return fmt.Errorf("%s: %w", o.id, err)
		}
		fmt.Fprintf(out, "%s: %s\n", o.id, id)
		if err := finish(list, o); err != nil {
			return err
		}
	}
	return nil
}

// billPlainly is a retry loop with a fresh key for each attempt. Making the key
// once, above the loop, would help against a lost reply, and not against this
// crash: the key would be gone with the process.
func billPlainly(ctx context.Context, server string, o order) (string, error) {
	var last error
	for attempt := range 5 {
		if attempt > 0 {
			select {
			case <-ctx.Done():
				return "", errors.Join(ctx.Err(), last)
			case <-time.After(100 * time.Millisecond << attempt):
			}
		}
		req, err := invoiceRequest(ctx, server, o)
		if err != nil {
			return "", err
		}
		req.Header.Set("Authorization", "Bearer "+secret)
		req.Header.Set("Idempotency-Key", uuid.NewString())
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			last = err
			continue
		}
		id, err := invoiceID(resp)
		if err == nil || resp.StatusCode < 500 {
			return id, err
		}
		last = err
	}
	return "", last
}

func isFinished(list string, o order) (bool, error) {
	text, err := os.ReadFile(list)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	for line := range strings.Lines(string(text)) {
		if strings.TrimSpace(line) == o.id {
			return true, nil
		}
	}
	return false, err
}

// finish appends an order to the list, durably.
func finish(list string, o order) error {
	f, err := os.OpenFile(list, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, o.id)
	return errors.Join(err, f.Sync(), f.Close())
}
