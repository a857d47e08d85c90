package idem

import "time"

// The tests in package idem_test reach a few things that no program needs to set.

// WithIdleRelease sets after how long a Begin that sees no Do is released.
func WithIdleRelease(d time.Duration) Option {
	return func(o *options) error { o.idleRelease = d; return nil }
}

// WithRunning sets what the client takes for the time that its process has run.
func WithRunning(running func() time.Duration) Option {
	return func(o *options) error { o.running = running; return nil }
}

// WithGrace sets what a tool's function gets beyond its AttemptTimeout.
func WithGrace(d time.Duration) Option {
	return func(o *options) error { o.grace = d; return nil }
}

// Backoff is backoff.
func Backoff(r Retry, made int, asked time.Duration) time.Duration { return backoff(r, made, asked) }

// WithDefaults is Retry.withDefaults.
func (r Retry) WithDefaults() Retry { return r.withDefaults() }

// RetryAfterFactor is how many times MaxBackoff a server's Retry-After is obeyed up to.
const RetryAfterFactor = retryAfterFactor
