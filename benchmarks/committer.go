package main

import (
	"errors"
	"runtime"
	"sync"
)

// errLead is told to a waiter whose turn it is to write for everyone.
var errLead = errors.New("lead")

// A committer is group commit by leader and follower: the first caller leads, lets others queue for a few yields,
// writes all that wait in one go, and answers each after the sync that holds its record. There is no timer.
type committer struct {
	flush func(records [][]byte) error // one write and one sync
	turns int                          // how often the leader yields at most

	mu      sync.Mutex
	waiting []*waiter
	leading bool
	failed  error // a failed sync poisons the log: no later one may claim success

	records [][]byte // the leader's, kept between batches
}

type waiter struct {
	record []byte
	answer chan error
}

// commit returns when the record is on disk.
func (c *committer) commit(w *waiter) error {
	c.mu.Lock()
	if c.failed != nil {
		c.mu.Unlock()
		return c.failed
	}
	c.waiting = append(c.waiting, w)
	if c.leading {
		c.mu.Unlock()
		if err := <-w.answer; !errors.Is(err, errLead) {
			return err
		}
		c.mu.Lock()
	}
	c.leading = true
	n := len(c.waiting)
	c.mu.Unlock()

	for range c.turns {
		runtime.Gosched()
		c.mu.Lock()
		grown := len(c.waiting) > n
		n = len(c.waiting)
		c.mu.Unlock()
		if !grown {
			break
		}
	}
	return c.lead(w)
}

// lead writes everything that waits, own record first in line, and hands the lead on.
func (c *committer) lead(own *waiter) error {
	c.mu.Lock()
	batch := c.waiting
	c.waiting = nil
	c.mu.Unlock()

	c.records = c.records[:0]
	for _, w := range batch {
		c.records = append(c.records, w.record)
	}
	err := c.flush(c.records)

	c.mu.Lock()
	if err != nil {
		c.failed = err
		batch = append(batch, c.waiting...)
		c.waiting = nil
	}
	var next *waiter
	if len(c.waiting) > 0 {
		next = c.waiting[0]
	} else {
		c.leading = false
	}
	c.mu.Unlock()

	if next != nil {
		next.answer <- errLead
	}
	for _, w := range batch {
		if w != own {
			w.answer <- err
		}
	}
	return err
}
