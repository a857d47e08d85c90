package idemtest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
)

// call is one request as the server proper sees it: read whole, fault or not.
type call struct {
	seq         int // its arrival
	method      string
	path        string
	query       string
	contentType string
	key         string
	authorized  bool
	body        []byte
	fault       Fault
	release     <-chan struct{}
}

// process answers one call: Authorization, route, key, parameters, execution,
// in this order.
func (s *Server) process(c *call) *reply {
	if !c.authorized {
		return apiError(401, "invalid_request_error", "", "", "Invalid API Key provided.")
	}
	t, refusal := route(c.method, c.path)
	if refusal != nil {
		return refusal
	}
	if len(c.key) > 255 {
		return apiError(400, "invalid_request_error", "", "", "Idempotency-Key is longer than 255 characters.")
	}
	p, err := parseParams(c.contentType, c.query, c.body)
	if err != nil {
		return apiError(400, "invalid_request_error", "", "", "Invalid request: "+err.Error())
	}
	if !unsafeMethod(c.method) {
		return s.read(t, p)
	}
	if c.key == "" && s.cfg.requireKey {
		return apiError(400, "invalid_request_error", "", "idempotency_key_missing", "This server wants an Idempotency-Key on every unsafe request.")
	}
	key := c.key
	if s.cfg.ignoreKeys {
		key = ""
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	generation := 1
	if key != "" {
		if c.fault.Kind == KeyExpired {
			s.expireLocked(key)
		}
		stored, newGeneration := s.lookUpLocked(key, p.hash(c.method, c.path))
		if stored != nil {
			return stored
		}
		generation = newGeneration
	}
	if refusal := s.refuseLocked(t, p); refusal != nil {
		return refusal
	}
	if c.fault.Kind == HoldExecution {
		if key != "" {
			s.busy[key] = c.seq
			defer delete(s.busy, key)
		}
		s.changedLocked()
		s.mu.Unlock()
		goOn := s.hold(c.fault, c.release)
		s.mu.Lock()
		if !goOn {
			return &reply{none: true, note: "the server closed while the execution was held"}
		}
		// Somebody else may have deleted the resource meanwhile.
		if refusal := s.refuseLocked(t, p); refusal != nil {
			return refusal
		}
	}
	return s.executeLocked(c, t, p, key, generation)
}

// lookUpLocked finds what a known key answers. Nil: execute, as the returned
// generation.
func (s *Server) lookUpLocked(key, hash string) (*reply, int) {
	if _, busy := s.busy[key]; busy {
		return inUse(key), 0
	}
	rec := s.current[key]
	if rec == nil {
		return nil, 1
	}
	if s.expiredLocked(rec, s.nowLocked()) {
		rec.Expired = true
		return nil, rec.Generation + 1
	}
	if rec.Params != hash {
		return mismatch(key), 0
	}
	rec.Replays++
	out := &reply{status: rec.Status, header: rec.Header.Clone(), body: rec.Body, did: DidReplay, effect: rec.EffectID}
	out.header.Set("Idempotent-Replayed", "true")
	return out, 0
}

func (s *Server) expireLocked(key string) {
	if rec := s.current[key]; rec != nil && !rec.Expired {
		rec.Expired = true
		s.write(entry{Expire: key})
	}
}

// ExpireKey makes the server forget one key now, as if its retention were
// over. It reports whether the key was known.
func (s *Server) ExpireKey(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.current[key]
	known := rec != nil && !s.expiredLocked(rec, s.nowLocked())
	s.expireLocked(key)
	return known
}

// refuseLocked is everything that is checked before a key is stored.
func (s *Server) refuseLocked(t target, p params) *reply {
	if refusal := t.validate(p); refusal != nil {
		return refusal
	}
	if t.id != "" && s.findLocked(t) == nil {
		return missing(t)
	}
	return nil
}

func missing(t target) *reply {
	return apiError(404, "invalid_request_error", "id", "resource_missing", "No such "+t.kind+": '"+t.id+"'")
}

func (s *Server) findLocked(t target) *object {
	if o := s.objects[t.id]; o != nil && o.Kind == t.kind && !o.Deleted {
		return o
	}
	return nil
}

// executeLocked does the effect and stores effect, key and reply as one.
func (s *Server) executeLocked(c *call, t target, p params, key string, generation int) *reply {
	now := s.nowLocked()
	out := serverError()
	var eff *Effect
	var obj *object
	if c.fault.Kind != Error500Stored {
		id := t.id
		number := strconv.Itoa(len(s.effects) + 1)
		switch t.action {
		case "create":
			id = t.prefix + number
			obj = &object{ID: id, Kind: t.kind, Created: now.Unix()}
			obj.merge(p)
		case "update":
			obj = s.objects[id].clone()
			obj.merge(p)
		case "delete":
			obj = s.objects[id].clone()
			obj.Deleted = true
		}
		eff = &Effect{
			ID: "eff_" + number, Kind: t.kind, Action: t.action, Object: id, Key: c.key,
			Params: p.asMap(), Metadata: p.metadata(), Arrival: c.seq, At: now, Generation: generation,
		}
		if c.fault.Kind != Error500After {
			out = jsonReply(200, shape(c.fault, obj.render()))
		}
		out.effect = eff.ID
	}
	out.did = DidExecute
	if generation > 1 {
		out.did = DidRenew
	}
	requestID := "req_" + strconv.Itoa(c.seq)
	out.header.Set("Request-Id", requestID)
	var rec *KeyRecord
	if key != "" {
		// Stripe sends both on every keyed reply; on a replay they still name
		// the first request.
		out.header.Set("Idempotency-Key", key)
		out.header.Set("Original-Request", requestID)
		rec = &KeyRecord{
			Key: key, Generation: generation, Method: c.method, Path: c.path,
			Params: p.hash(c.method, c.path), BodyHash: hashBytes(c.body),
			Status: out.status, Header: out.header.Clone(), Body: bytes.Clone(out.body),
			EffectID: out.effect, Arrival: c.seq, At: now,
		}
	}
	arrival := s.arrivals[c.seq-1]
	arrival.Did, arrival.EffectID, arrival.BodyHash = out.did, out.effect, hashBytes(c.body)
	// What follows from one execution is one line, so that a crash leaves all
	// of it or nothing.
	if !s.write(entry{Arrival: &arrival, Key: rec, Effect: eff, Object: obj}) {
		return &reply{none: true, note: "the store failed"}
	}
	s.arrivals[c.seq-1] = arrival
	s.applyLocked(rec, eff, obj)
	s.changedLocked()
	return out
}

func (s *Server) applyLocked(rec *KeyRecord, eff *Effect, obj *object) {
	if eff != nil {
		s.effects = append(s.effects, *eff)
	}
	if obj != nil {
		if s.objects[obj.ID] == nil {
			s.order = append(s.order, obj.ID)
		}
		s.objects[obj.ID] = obj
	}
	if rec != nil {
		if old := s.current[rec.Key]; old != nil {
			old.Expired = true
		}
		s.keys = append(s.keys, rec)
		s.current[rec.Key] = rec
	}
}

// shape makes the body that is stored under the kinds that change it.
func shape(f Fault, body []byte) []byte {
	switch f.Kind {
	case Empty200:
		return []byte{}
	case BigBody:
		size := f.Size
		if size == 0 {
			size = 17 << 20
		}
		const name = `,"padding":"`
		fill := size - len(body) - len(name) - 1 // one for the closing quote
		if fill < 0 {
			return body
		}
		out := append(body[:len(body)-1:len(body)-1], name...)
		out = append(out, bytes.Repeat([]byte("x"), fill)...)
		return append(out, `"}`...)
	}
	return body
}

// read answers GET. Searching is what asks "did it happen?": newest first, as
// at Stripe.
func (s *Server) read(t target, p params) *reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.action == "get" {
		o := s.findLocked(t)
		if o == nil {
			return missing(t)
		}
		out := jsonReply(200, o.render())
		out.did = DidRead
		return out
	}
	data := []json.RawMessage{}
	for i := len(s.order) - 1; i >= 0; i-- {
		if o := s.objects[s.order[i]]; o.Kind == t.kind && !o.Deleted && o.matches(p) {
			data = append(data, o.render())
		}
	}
	body, _ := json.Marshal(struct { // rendered objects are valid JSON
		Object  string            `json:"object"`
		Data    []json.RawMessage `json:"data"`
		HasMore bool              `json:"has_more"`
	}{"list", data, false})
	out := jsonReply(200, body)
	out.did = DidRead
	return out
}

func unsafeMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "":
		return false
	}
	return true
}
