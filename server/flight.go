package server

// flight is one key that a request of this process is looking up or executing.
// Requests with the same key meet in it, so that a key is looked up and executed
// once however many ask.
type flight struct {
	looked chan struct{} // closed when it is known what the key is
	ended  chan struct{} // closed when the execution has ended

	// Written before looked is closed. One of them is set.
	err   error     // the store failed
	found *standing // it is known already
	print *print    // it is being executed for this payload

	// Written before ended is closed.
	result *standing // nil: the key is free again
}

// join is the flight of a key; leads tells that this request makes it.
func (s *Store) join(id Identity) (f *flight, leads bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f = s.flights[id]; f != nil {
		return f, false
	}
	f = &flight{looked: make(chan struct{}), ended: make(chan struct{})}
	s.flights[id] = f
	return f, true
}

// lookedUp tells those who wait what the leader found, and that it executes
// nothing.
func (s *Store) lookedUp(id Identity, f *flight, found *standing, err error) {
	f.found, f.err = found, err
	s.leave(id, f)
	close(f.looked)
	close(f.ended)
}

// executes tells those who wait that the leader executes this payload.
func (f *flight) executes(p *print) {
	f.print = p
	close(f.looked)
}

// landed tells those who wait how the execution ended.
func (s *Store) landed(id Identity, f *flight, result *standing) {
	f.result = result
	s.leave(id, f)
	close(f.ended)
}

func (s *Store) leave(id Identity, f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights[id] == f {
		delete(s.flights, id)
	}
}

// inFlight tells whether a key is looked up or executed here.
func (s *Store) inFlight(id Identity) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flights[id] != nil
}
