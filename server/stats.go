package server

import "sync/atomic"

// Stats counts the replies of a store's middlewares since it was opened.
type Stats struct {
	Executed  int64 // the handler ran, and its reply was kept
	Replayed  int64 // a kept reply was handed out
	Refused   int64 // before execution, by the middleware or by Forget
	InFlight  int64 // answered that the key is being executed
	Mismatch  int64 // answered that the key is known with another payload
	Uncertain int64 // answered, or ended with, nobody knows
	Executing int64 // under way now
}

type counters struct {
	executed, replayed, refused, inFlight, mismatch, uncertain, executing atomic.Int64
}

// add counts one reply by its Idem-Status.
func (c *counters) add(status string) {
	switch status {
	case StatusExecuted:
		c.executed.Add(1)
	case StatusReplayed:
		c.replayed.Add(1)
	case StatusRefused:
		c.refused.Add(1)
	case StatusInFlight:
		c.inFlight.Add(1)
	case StatusMismatch:
		c.mismatch.Add(1)
	case StatusUncertain:
		c.uncertain.Add(1)
	}
}

// Stats reads the counts.
func (s *Store) Stats() Stats {
	c := &s.counters
	return Stats{
		Executed: c.executed.Load(), Replayed: c.replayed.Load(), Refused: c.refused.Load(),
		InFlight: c.inFlight.Load(), Mismatch: c.mismatch.Load(), Uncertain: c.uncertain.Load(),
		Executing: c.executing.Load(),
	}
}
