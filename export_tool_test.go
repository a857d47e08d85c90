package idem

import "time"

// WithGrace sets what a tool's function gets beyond its AttemptTimeout.
func WithGrace(d time.Duration) Option {
	return func(o *options) error { o.grace = d; return nil }
}
