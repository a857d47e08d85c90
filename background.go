package idem

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/journal"
)

// releaseIdle gives up, now and then, what was begun here and sees no Do, so that
// no other process waits for it.
// It also tries again to record what the journal would not take, and prunes.
func (c *Client) releaseIdle() {
	tick := time.NewTicker(c.options.idleRelease / 4)
	defer tick.Stop()
	pruned := time.Now() // not at once: opening costs nothing, however much is settled
	for {
		select {
		case <-c.stopped.Done():
			return
		case <-tick.C:
		}
		c.release(c.options.idleRelease)
		c.watchClock()
		c.steady.Now() // a step of the wall clock counts from now
		if time.Since(pruned) >= pruneInterval {
			c.prune(c.stopped) // it goes on the next time
			pruned = time.Now()
		}
		c.saveAll(c.stopped) // its error is told to whoever asks for that intent, and by Close
	}
}

// watchClock makes a step of the clock durable while nothing is called. A client
// that only reads writes nothing.
func (c *Client) watchClock() {
	c.clock.Now()
	c.mu.Lock()
	writes := c.writes
	c.mu.Unlock()
	if writes {
		c.saveClock() // what fails is tried again before the next row
	}
}

func (c *Client) releaseAll() { c.release(0) }

// releasers is how many rows are released at once.
const releasers = 64

// release writes a row for each intent that was begun at least so long ago and is
// not being executed: it was never sent, and is anybody's. It ends with the first row
// that the journal does not take: each of the others would wait as long.
func (c *Client) release(age time.Duration) {
	type held struct {
		key   string
		letGo func()
	}
	c.mu.Lock()
	var idle []held
	for key, claim := range c.idle {
		if !claim.since.IsZero() && time.Since(claim.since) >= age {
			if letGo, ok := c.hold(key); ok { // until the row is written nobody begins to carry it out
				idle = append(idle, held{key, letGo})
				delete(c.idle, key)
			}
		}
	}
	c.mu.Unlock()
	var wg sync.WaitGroup
	var failed atomic.Bool
	slots := make(chan struct{}, releasers) // together they share transactions
	for _, intent := range idle {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			defer intent.letGo()
			if failed.Load() {
				return
			}
			now := c.clock.Now()
			// A failure loses nothing: the next owner then has to take it for one that
			// may have been sent.
			_, _, err := c.journal.Change(context.WithoutCancel(c.stopped), &journal.Change{
				Key: intent.key, Kind: journal.Released, At: now, Reason: "never sent",
				Summary: lifecycle.ReleaseUnsent(now),
			})
			if err != nil {
				failed.Store(true)
			}
		})
	}
	wg.Wait()
}
