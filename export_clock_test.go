package idem

import "time"

// Clock is what a client takes for the time.
type Clock struct{ k *clock }

// NewClock is newClock.
func NewClock(wall func() time.Time) Clock { return Clock{newClock(wall)} }

// Now is clock.now.
func (c Clock) Now() time.Time { return c.k.now() }

// Seen is clock.seen.
func (c Clock) Seen(at time.Time) { c.k.seen(at) }
