package main

import (
	"context"
	"encoding/json"
	"sync/atomic"

	"github.com/idem-go/idem"
)

// maxTurns is how often a model is asked before the loop gives up.
const maxTurns = 10

type refund struct {
	Order string `json:"order"`
	Cents int    `json:"cents"`
}

type refunded struct {
	Refund int64 `json:"refund"`
}

// register puts the tool behind the client. An order is refunded once, whatever the
// model's call ids are.
func register(client *idem.Client, refunds *atomic.Int64) error {
	_, err := idem.NewTool(client, "refund", idem.Policy{ID: []string{"/order"}},
		func(context.Context, string, refund) (refunded, error) {
			return refunded{refunds.Add(1)}, nil // here it would call the bank, with the key
		})
	return err
}

// runTool is the one line of an agent loop that idem is about: it runs what a model
// asked for and returns what the model hears. The error is the program's own
// business, and ends the loop.
func runTool(ctx context.Context, client *idem.Client, tool, callID string, args json.RawMessage) (result string, failed bool, err error) {
	out, err := client.Call(ctx, tool, callID, args)
	if err == nil {
		return string(out), false, nil
	}
	if advice := idem.Advice(err); advice != "" {
		return advice, true, nil
	}
	return "", true, err
}
