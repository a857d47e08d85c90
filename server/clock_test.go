package server_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/idem-go/idem/server"
)

const defaultRetention = 24 * time.Hour

// handClock is a store's clocks that a test moves.
type handClock struct {
	mu   sync.Mutex
	wall time.Time
	run  time.Duration
}

func setClock(s *server.Store) *handClock {
	c := &handClock{wall: time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)}
	c.give(s)
	return c
}

func (c *handClock) give(s *server.Store) { s.SetClocks(c.read) }

func (c *handClock) read() (time.Time, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall, c.run
}

// advance is time that goes by.
func (c *handClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.run = c.wall.Add(d), c.run+d
}

// jump sets the wall clock.
func (c *handClock) jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
}

// isSQLite tells whether the store at hand is in a SQLite database of the handlers'.
func isSQLite(t *testing.T) bool { return strings.HasSuffix(t.Name(), "same_transaction") }
