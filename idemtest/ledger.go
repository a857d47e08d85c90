package idemtest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Did says what an arrival made the server do.
type Did string

// What an arrival can do. The zero value, "", is nothing at all.
const (
	DidNothing Did = ""          // a fault came first, or it is still under way
	DidExecute Did = "executed"  // the effect happened here, or an execution was stored that had none
	DidReplay  Did = "replayed"  // the stored reply was sent again
	DidRenew   Did = "renewed"   // executed although the key had been executed before: it had expired
	DidWait    Did = "in_flight" // refused: the key was executing
	DidDiffer  Did = "mismatch"  // refused: the key was known with other parameters
	DidRefuse  Did = "refused"   // refused before the key was stored
	DidRead    Did = "read"      // a safe request
)

// Arrival is one request that reached the server.
type Arrival struct {
	Seq    int       `json:"seq"`  // 1, 2, …
	At     time.Time `json:"at"`   // by the server's clock
	Host   string    `json:"host"` // which listener: "main", "other", "bad_cert"
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Query  string    `json:"query,omitempty"`
	Key    string    `json:"key,omitempty"`
	// BodyHash is the hex sha256 of the body's bytes; empty where the body
	// was not read whole.
	BodyHash string `json:"body_hash,omitempty"`
	// Header holds the headers that matter to a test. Authorization is never
	// among them: Authorized says whether it was right.
	Header     map[string]string `json:"header,omitempty"`
	Authorized bool              `json:"authorized"`
	Fault      FaultKind         `json:"fault"`
	Duplicate  bool              `json:"duplicate,omitempty"` // made by the server, not sent by a client
	Did        Did               `json:"did,omitempty"`
	EffectID   string            `json:"effect_id,omitempty"` // the effect that this arrival made, or whose reply it replays
	Status     int               `json:"status"`              // 0: none was sent
	Done       bool              `json:"done"`                // false: the server is still at it, or died
	Note       string            `json:"note,omitempty"`
}

// Answer is the status that was sent, "none", or "open" while the server is
// still at it.
func (a Arrival) Answer() string {
	switch {
	case !a.Done:
		return "open"
	case a.Status == 0:
		return "none"
	}
	return strconv.Itoa(a.Status)
}

// String is one line for people.
func (a Arrival) String() string {
	return fmt.Sprintf("#%d %s %s key=%s fault=%s answer=%s effect=%s", a.Seq, a.Method, a.Path, a.Key, a.Fault, a.Answer(), a.EffectID)
}

// Unsafe reports whether the request could have an effect, by its method.
func (a Arrival) Unsafe() bool { return unsafeMethod(a.Method) }

// Effect is one thing that happened at the server.
type Effect struct {
	ID       string            `json:"id"`     // unique in a ledger
	Kind     string            `json:"kind"`   // "invoice", "charge", "refund", "customer"
	Action   string            `json:"action"` // "create", "update", "delete"
	Object   string            `json:"object"` // the resource's id
	Key      string            `json:"key,omitempty"`
	Params   map[string]string `json:"params,omitempty"`   // flattened as in a form: "a[b]"
	Metadata map[string]string `json:"metadata,omitempty"` // the metadata of the request
	Arrival  int               `json:"arrival"`            // the Seq that made it
	At       time.Time         `json:"at"`
	// Generation counts the executions under one key: 2 and more mean that
	// the key had expired. 1 also where there is no key.
	Generation int `json:"generation"`
}

// KeyRecord is what the server remembers under one key: one record for each
// time that the key was executed.
type KeyRecord struct {
	Key        string      `json:"key"`
	Generation int         `json:"generation"`
	Method     string      `json:"method"`
	Path       string      `json:"path"`
	Params     string      `json:"params_hash"` // of method, path and parameters: what a second request is compared by
	BodyHash   string      `json:"body_hash"`   // of the first request's bytes
	Status     int         `json:"status"`      // the stored reply
	Header     http.Header `json:"header"`
	Body       []byte      `json:"body"`
	EffectID   string      `json:"effect_id,omitempty"`
	Arrival    int         `json:"arrival"`
	At         time.Time   `json:"at"`
	Replays    int         `json:"replays"` // since this process started
	Expired    bool        `json:"expired"`
}

// Ledger is a copy of all that a server knows, at one instant.
type Ledger struct {
	Arrivals []Arrival   `json:"arrivals"`
	Effects  []Effect    `json:"effects"`
	Keys     []KeyRecord `json:"keys"`
	// Objects are the resources that stand, by id, each as GET serves it.
	Objects map[string]json.RawMessage `json:"objects"`
	// KeysIgnored and KeyRequired are the options the server runs with.
	KeysIgnored bool `json:"keys_ignored,omitempty"`
	KeyRequired bool `json:"key_required,omitempty"`
}

// EffectsOf returns the effects under one key.
func (l Ledger) EffectsOf(key string) []Effect {
	var out []Effect
	for _, e := range l.Effects {
		if e.Key == key {
			out = append(out, e)
		}
	}
	return out
}

// ArrivalsOf returns the arrivals that carried one key.
func (l Ledger) ArrivalsOf(key string) []Arrival {
	var out []Arrival
	for _, a := range l.Arrivals {
		if a.Key == key {
			out = append(out, a)
		}
	}
	return out
}

// Ledger returns a copy of all that the server knows.
func (s *Server) Ledger() Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Ledger{
		Arrivals:    s.arrivalsLocked(),
		Effects:     s.effectsLocked(func(Effect) bool { return true }),
		Keys:        s.keysLocked(),
		Objects:     make(map[string]json.RawMessage, len(s.objects)),
		KeysIgnored: s.cfg.ignoreKeys,
		KeyRequired: s.cfg.requireKey,
	}
	for id, o := range s.objects {
		if !o.Deleted {
			out.Objects[id] = o.render()
		}
	}
	return out
}

// Arrivals returns a copy of every arrival, in order.
func (s *Server) Arrivals() []Arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arrivalsLocked()
}

// Effects returns a copy of every effect, in order.
func (s *Server) Effects() []Effect {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.effectsLocked(func(Effect) bool { return true })
}

// EffectsOf returns a copy of the effects under one key. The empty key finds
// the effects that had none.
func (s *Server) EffectsOf(key string) []Effect {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.effectsLocked(func(e Effect) bool { return e.Key == key })
}

// Keys returns a copy of every key's records, in order of execution.
func (s *Server) Keys() []KeyRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keysLocked()
}

func (s *Server) arrivalsLocked() []Arrival {
	out := make([]Arrival, len(s.arrivals))
	for i, a := range s.arrivals {
		a.Header = maps.Clone(a.Header)
		out[i] = a
	}
	return out
}

func (s *Server) effectsLocked(keep func(Effect) bool) []Effect {
	out := make([]Effect, 0, len(s.effects))
	for _, e := range s.effects {
		if keep(e) {
			e.Params, e.Metadata = maps.Clone(e.Params), maps.Clone(e.Metadata)
			out = append(out, e)
		}
	}
	return out
}

func (s *Server) keysLocked() []KeyRecord {
	now := s.nowLocked()
	out := make([]KeyRecord, len(s.keys))
	for i, k := range s.keys {
		c := *k
		c.Expired = s.expiredLocked(k, now)
		c.Header, c.Body = k.Header.Clone(), slices.Clone(k.Body)
		out[i] = c
	}
	return out
}

func (s *Server) expiredLocked(k *KeyRecord, now time.Time) bool {
	return k.Expired || !now.Before(k.At.Add(s.cfg.retention))
}

// WaitArrivals returns when at least n requests have arrived since the ledger
// began, or with ctx's error. An arrival counts as soon as its head is read.
func (s *Server) WaitArrivals(ctx context.Context, n int) error {
	return s.waitFor(ctx, "arrivals", n, func() int { return len(s.arrivals) })
}

// WaitEffects returns when at least n effects have happened, or with ctx's
// error. An effect counts before its reply goes out.
func (s *Server) WaitEffects(ctx context.Context, n int) error {
	return s.waitFor(ctx, "effects", n, func() int { return len(s.effects) })
}

func (s *Server) waitFor(ctx context.Context, what string, n int, count func() int) error {
	for {
		s.mu.Lock()
		have, changed := count(), s.changed
		s.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("idemtest: waiting for %d %s, %d so far: %w", n, what, have, ctx.Err())
		case <-s.done:
			return fmt.Errorf("idemtest: waiting for %d %s, %d so far: %w", n, what, have, ErrServerClosed)
		}
	}
}

// changedLocked wakes everyone who waits.
func (s *Server) changedLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}
