package main

import (
	"encoding/json"
	"time"
)

// A spec tells a child process what to do. It travels as JSON in the child's -child flag.
type spec struct {
	Kind    string        // "pairs" and the other kinds that runChild knows
	Subject string        // an entry's name, for kind "pairs"
	Dir     string        // the child's scratch folder
	Callers int           // how many goroutines ask at once
	Warmup  time.Duration // not measured; long enough for a new write-ahead log to wrap
	Measure time.Duration
	Addr    string // where the server listens
	Rows    int    // how many intents to write, list or take over
	Profile string // folder for profiles; empty: none
	First   int    // number of the first pair; a journal that is continued must not ask for an old one again
}

func (s spec) String() string {
	b, err := json.Marshal(s)
	if err != nil {
		return "{}" // a spec has only plain fields
	}
	return string(b)
}

// A result is what a child prints when it is done.
type result struct {
	Pairs      int64           // inside the measured time
	Total      int64           // with the warm-up
	Seconds    float64         // the measured time
	P50, P99   time.Duration   // of one pair
	Mallocs    float64         // a pair
	Bytes      float64         // allocated a pair
	CPU        time.Duration   // user and system, a pair
	Durability string          // read back, if the subject can say it
	Samples    []time.Duration // of kinds that time single events
	Err        string
}

// rate is pairs a second.
func (r result) rate() float64 {
	if r.Seconds == 0 {
		return 0
	}
	return float64(r.Pairs) / r.Seconds
}
