package server

import (
	"sync"
	"time"
)

// callers counts the keys that each caller began within one retention, in slices
// of a tenth of it.
type callers struct {
	mu    sync.Mutex
	begun map[string]*tally // by scope
}

const callerSlices = 10

// tally is one caller's slices. A slice is named by its number since 1970, so
// that an old one is known to be empty.
type tally struct {
	length time.Duration
	number [callerSlices + 1]int64
	count  [callerSlices + 1]int
}

func (h *tally) at(now time.Time) (slot int, number int64) {
	number = now.UnixNano() / int64(h.length)
	return int(((number % (callerSlices + 1)) + callerSlices + 1) % (callerSlices + 1)), number
}

func (h *tally) sum(now time.Time) (total int) {
	_, newest := h.at(now)
	for i, n := range h.number {
		if n > newest-callerSlices-1 {
			total += h.count[i]
		}
	}
	return total
}

// take counts one more key; false: the caller has had as many as it may.
func (c *callers) take(scope string, retention time.Duration, most int, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	length := max(retention/callerSlices, 1)
	h := c.begun[scope]
	if h == nil || h.length < length {
		h = &tally{length: length}
		c.begun[scope] = h
	}
	if h.sum(now) >= most {
		return false
	}
	slot, number := h.at(now)
	if h.number[slot] != number {
		h.number[slot], h.count[slot] = number, 0
	}
	h.count[slot]++
	return true
}

// giveBack takes one off again: nothing was begun, or it was forgotten.
func (c *callers) giveBack(scope string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.begun[scope]
	if h == nil {
		return
	}
	if slot, number := h.at(now); h.number[slot] == number && h.count[slot] > 0 {
		h.count[slot]--
	}
}

// shed drops callers that began nothing lately.
func (c *callers) shed(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for scope, h := range c.begun {
		if h.sum(now) == 0 {
			delete(c.begun, scope)
		}
	}
}
