package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/idem-go/idem"
)

// pendingFrom is the number of the first intent that is left pending; no settled one comes near it.
const pendingFrom = 900_000_000

// prefill settles s.Rows intents through the library, from s.First on.
func prefill(s spec) (res result, err error) {
	c, err := openIdem(s.Dir, new(answering))
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	start := time.Now()
	err = inParallel(s.Callers, s.Rows, func(i int) error {
		return doCharge(context.Background(), c, "api.example.test", s.First+i)
	})
	res.Pairs, res.Total, res.Seconds = int64(s.Rows), int64(s.Rows), time.Since(start).Seconds()
	return res, err
}

// leavePending begins s.Rows intents and does not run them. Its process then dies without closing anything.
func leavePending(s spec) (result, error) {
	c, err := openIdem(s.Dir, new(answering))
	if err != nil {
		return result{}, err
	}
	for i := range s.Rows {
		n := pendingFrom + s.First + i
		req, err := chargeRequest(context.Background(), "api.example.test", n)
		if err != nil {
			return result{}, err
		}
		if _, err := c.Begin(context.Background(), chargeOperation(n), req); err != nil {
			return result{}, err
		}
	}
	return result{Pairs: int64(s.Rows)}, nil
}

// listPending is what a program does first after a crash: open the journal and list what is open.
func listPending(s spec) (res result, err error) {
	start := time.Now()
	c, err := openIdem(s.Dir, new(answering))
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	opened := time.Since(start)
	found := 0
	for _, err := range c.Intents(context.Background(), idem.Filter{States: []idem.State{idem.Pending}}) {
		if err != nil {
			return res, err
		}
		found++
	}
	res.Samples = []time.Duration{opened, time.Since(start)}
	if found != s.Rows {
		return res, fmt.Errorf("%d pending intents were listed, %d were left", found, s.Rows)
	}
	return res, nil
}
