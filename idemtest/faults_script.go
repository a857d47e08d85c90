package idemtest

import (
	"math/rand/v2"
	"slices"
	"time"
)

// script is what a test has asked for: queues by key, by path, and for
// whatever comes next.
type script struct {
	byKey  map[string][]Fault
	byPath map[string][]Fault
	next   []Fault
}

func newScript() script {
	return script{byKey: make(map[string][]Fault), byPath: make(map[string][]Fault)}
}

// Script appends faults to the queue that each unsafe arrival at URL takes
// one of. A Fault with NoFault lets one arrival pass. The error names the
// fault whose knobs make no sense; then nothing is queued.
func (s *Server) Script(faults ...Fault) error {
	return s.queue(faults, func(sc *script) { sc.next = append(sc.next, faults...) })
}

// ScriptKey is Script for the arrivals that carry one key; it comes before the
// other queues.
func (s *Server) ScriptKey(key string, faults ...Fault) error {
	return s.queue(faults, func(sc *script) { sc.byKey[key] = append(sc.byKey[key], faults...) })
}

// ScriptPath is Script for the arrivals at one path ("/v1/charges"); it comes
// after ScriptKey's queue and before Script's.
func (s *Server) ScriptPath(path string, faults ...Fault) error {
	return s.queue(faults, func(sc *script) { sc.byPath[path] = append(sc.byPath[path], faults...) })
}

func (s *Server) queue(faults []Fault, add func(*script)) error {
	for _, f := range faults {
		if err := f.validate(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	add(&s.script)
	return nil
}

// ClearScript empties every queue.
func (s *Server) ClearScript() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = newScript()
}

// Scripted returns how many scripted faults wait to be taken.
func (s *Server) Scripted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.script.next)
	for _, m := range []map[string][]Fault{s.script.byKey, s.script.byPath} {
		for _, q := range m {
			n += len(q)
		}
	}
	return n
}

// Release ends every reply and execution that is held at this moment. What is
// held later waits for another Release. Arrivals are held from the instant
// that WaitArrivals sees them, so waiting and then releasing loses nothing.
func (s *Server) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.release)
	s.release = make(chan struct{})
}

// takeLocked is the fault of the arrival with this number.
func (s *Server) takeLocked(seq int, key, path string) Fault {
	sc := &s.script
	for _, q := range []struct {
		in   map[string][]Fault
		name string
	}{{sc.byKey, key}, {sc.byPath, path}} {
		if faults := q.in[q.name]; len(faults) > 0 {
			q.in[q.name] = faults[1:]
			return faults[0]
		}
	}
	if len(sc.next) > 0 {
		f := sc.next[0]
		sc.next = sc.next[1:]
		return f
	}
	return randomFault(s.cfg, seq)
}

// peekStaleLocked takes the next fault only if it is one that strikes before
// anything of a request is read, when neither key nor path is known.
func (s *Server) peekStaleLocked(seq int) bool {
	sc := &s.script
	if len(sc.next) > 0 {
		if sc.next[0].Kind != StaleUnread {
			return false
		}
		sc.next = sc.next[1:]
		return true
	}
	return randomFault(s.cfg, seq).Kind == StaleUnread
}

// randomFault follows from the seed and the arrival's number alone, so that a
// run can be repeated.
func randomFault(cfg serverConfig, seq int) Fault {
	if cfg.probability == 0 {
		return Fault{}
	}
	rng := rand.New(rand.NewPCG(cfg.seed, uint64(seq)))
	if rng.Float64() >= cfg.probability {
		return Fault{}
	}
	f := Fault{
		Kind:  cfg.kinds[rng.IntN(len(cfg.kinds))],
		Delay: time.Duration(1+rng.IntN(25)) * time.Millisecond,
	}
	switch f.Kind {
	case CutBody, CutChunked:
		f.After = rng.IntN(64)
	case BigBody: // each is stored: a long run would fill the memory with 17 MiB
		f.Size = 1 << 20
	}
	return f
}

// RandomFaults returns what WithRandomFaults with these arguments lets the
// arrivals 1 to n meet, so that a test can choose a seed or print a schedule.
// Arguments that WithRandomFaults refuses give none.
func RandomFaults(n int, seed uint64, probability float64, kinds ...FaultKind) []Fault {
	cfg := defaultServerConfig()
	WithRandomFaults(seed, probability, kinds...)(&cfg)
	out := make([]Fault, 0, max(n, 0))
	if cfg.validate() != nil {
		return out
	}
	for seq := range n {
		out = append(out, randomFault(cfg, seq+1))
	}
	return slices.Clip(out)
}
