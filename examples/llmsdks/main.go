// Command llmsdks shows how the tools of an agent loop on anthropic-sdk-go and on
// openai-go are put behind idem: one file each, anthropic.go and openai.go, and one
// line in it. The models are scripted, on real sockets, and ask for the same refund
// twice under two call ids, then for another amount.
//
//	cd examples/llmsdks && go run .
//
// The exit code is 0 if each order was refunded once, else 1.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/idem-go/idem"
	"github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "llmsdks:", err)
		os.Exit(1)
	}
}

// loop is one SDK's agent loop.
type loop struct {
	name   string
	script []string
	ask    func(ctx context.Context, url string, client *idem.Client, question string) (string, error)
}

func loops() []loop {
	return []loop{
		{"anthropic-sdk-go", anthropicScript(), func(ctx context.Context, url string, client *idem.Client, question string) (string, error) {
			api := anthropic.NewClient(anthropicoption.WithBaseURL(url), anthropicoption.WithAPIKey("none"))
			return askAnthropic(ctx, api, client, question)
		}},
		{"openai-go", openaiScript(), func(ctx context.Context, url string, client *idem.Client, question string) (string, error) {
			api := openai.NewClient(openaioption.WithBaseURL(url), openaioption.WithAPIKey("none"))
			return askOpenAI(ctx, api, client, question)
		}},
	}
}

func run(out io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, l := range loops() {
		said, refunds, _, err := l.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		fmt.Fprintf(out, "%s: the model says %q; refunds: %d\n", l.name, said, refunds)
		if refunds != 1 {
			return errors.New("the order was not refunded once")
		}
	}
	return nil
}

// run runs the loop on a fake of its API, and returns what the model said at last,
// how many refunds were made, and all that the model had heard.
func (l loop) run(ctx context.Context) (said string, refunds int64, heard string, err error) {
	folder, err := os.MkdirTemp("", "idem-llmsdks-")
	if err != nil {
		return "", 0, "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	client, err := idem.Open(filepath.Join(folder, "agent.db"))
	if err != nil {
		return "", 0, "", err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	var made atomic.Int64
	if err := register(client, &made); err != nil {
		return "", 0, "", err
	}
	api, err := startFake(l.script)
	if err != nil {
		return "", 0, "", err
	}
	defer api.close()
	said, err = l.ask(idem.WithScope(ctx, "task-7"), api.url(), client, "Refund order 1001, 42.00.")
	if err != nil {
		return "", made.Load(), "", err
	}
	return said, made.Load(), api.heard(), nil
}
