package server

import "time"

// SetClocks gives a store other clocks: the wall's, and the one that only runs.
func (s *Store) SetClocks(read func() (wall time.Time, running time.Duration)) {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	s.clock.read, s.clock.began = read, false
}
