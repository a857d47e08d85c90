package idem

import (
	"crypto/cipher"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Option sets up a client.
type Option func(*options) error

type options struct {
	policies              policies
	transport             http.RoundTripper
	logger                *slog.Logger
	observer              Observer
	keys                  []cipher.AEAD
	outcomes, identities  time.Duration
	requireScope          bool
	maxPayload, maxReply  int64
	wall                  func() time.Time
	running               func() time.Duration // how long this process has run, by its monotonic clock
	idleRelease, pollTime time.Duration
	grace                 time.Duration // of a tool's function
}

const (
	defaultLimit      = 16 << 20             // of a payload and of a reply
	defaultOutcomes   = 30 * 24 * time.Hour  // how long outcomes are kept
	defaultIdentities = 365 * 24 * time.Hour // how long bare identities are kept
	pollInterval      = 25 * time.Millisecond
	pruneInterval     = 10 * time.Minute
	idleInterval      = 10 * time.Second // a Begin that sees no Do for so long is released
)

// WithPolicy sets the policy of an operation. A name that ends in "*", such as
// "stripe.*", covers a prefix; a whole name wins over a prefix, a longer prefix
// over a shorter one. The policy is copied.
func WithPolicy(operation string, p Policy) Option {
	return func(o *options) error {
		if err := p.validate(operation); err != nil {
			return err
		}
		o.policies.add(operation, p)
		return nil
	}
}

// WithTransport sets what attempts go through: credentials, proxies and TLS live
// there. nil, and the default, is a transport of the client's own with the
// settings of http.DefaultTransport. It must not retry or follow redirects.
func WithTransport(base http.RoundTripper) Option {
	return func(o *options) error { o.transport = base; return nil }
}

// WithLogger logs a line for each settled intent. nil, and the default: silent.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error { o.logger = l; return nil }
}

// WithObserver tells an Observer of every call and attempt. nil: nobody.
func WithObserver(ob Observer) Option {
	return func(o *options) error { o.observer = ob; return nil }
}

// WithRetention sets how long settled outcomes, then bare identities, are kept:
// 30 days and one year by default. An identity must outlive its outcome.
//
// A guard forgets with the identity. Open, New and NewTool therefore refuse a policy
// whose Window, Limit.Per or Contract.Retention is longer than identities. A
// Contract.Retention of 100 years or more, as Natural has, means that doing it twice is
// harmless at any time, and is not compared.
func WithRetention(outcomes, identities time.Duration) Option {
	return func(o *options) error {
		if outcomes <= 0 || identities < outcomes {
			return fmt.Errorf("idem: WithRetention(%v, %v): both are longer than 0, and identities are kept as long as outcomes at least", outcomes, identities)
		}
		o.outcomes, o.identities = outcomes, identities
		return nil
	}
}

// WithEncryption seals payloads, requests' heads and URLs, outcomes and error
// texts before they reach the disk, and makes fingerprints keyed hashes. What is
// not sealed: operation names, scopes, IDs, keys, states, times and statuses.
//
// The AEAD wraps a random data key that is kept in the journal; its nonces are
// random, so one of at least 12 bytes is needed, such as AES-256-GCM. To rotate,
// give the new one first and the old ones after it: the data key is wrapped anew,
// the rows stay. A journal opened with a wrong key, without one, or with one where
// it was begun without, is an error and nothing is changed.
func WithEncryption(current cipher.AEAD, old ...cipher.AEAD) Option {
	return func(o *options) error {
		for i, key := range append([]cipher.AEAD{current}, old...) {
			switch {
			case key == nil:
				return fmt.Errorf("idem: WithEncryption: key %d is nil", i)
			case key.NonceSize() < 12:
				return fmt.Errorf("idem: WithEncryption: key %d has nonces of %d bytes, 12 are needed: use AES-256-GCM", i, key.NonceSize())
			}
		}
		o.keys = append([]cipher.AEAD{current}, old...)
		return nil
	}
}

// WithRequireScope makes an operation without a scope ErrNoScope.
func WithRequireScope() Option {
	return func(o *options) error { o.requireScope = true; return nil }
}

// WithClock sets what the client takes for the wall clock, for tests of what time
// does. nil, and the default: time.Now. Waits and timeouts are not its business.
func WithClock(wall func() time.Time) Option {
	return func(o *options) error {
		if wall == nil {
			wall = time.Now
		}
		o.wall = wall
		return nil
	}
}

// WithMaxPayload sets the longest payload in bytes, 16 MiB by default. A longer
// one is an error and nothing is sent.
func WithMaxPayload(bytes int64) Option {
	return func(o *options) error {
		if bytes <= 0 || bytes > 1<<30-1<<20 {
			return fmt.Errorf("idem: WithMaxPayload(%d): 1 byte to 1023 MiB", bytes)
		}
		o.maxPayload = bytes
		return nil
	}
}

// WithMaxReply sets the longest reply that is kept, in bytes, 16 MiB by default.
// A longer one that says it succeeded is recorded by its length and hash, and
// comes with ErrOutcomeTruncated.
func WithMaxReply(bytes int64) Option {
	return func(o *options) error {
		if bytes <= 0 || bytes > 1<<30-1<<20 {
			return fmt.Errorf("idem: WithMaxReply(%d): 1 byte to 1023 MiB", bytes)
		}
		o.maxReply = bytes
		return nil
	}
}

func collect(opts []Option) (options, error) {
	started := time.Now()
	o := options{
		outcomes: defaultOutcomes, identities: defaultIdentities,
		maxPayload: defaultLimit, maxReply: defaultLimit,
		wall: time.Now, running: func() time.Duration { return time.Since(started) },
		idleRelease: idleInterval, pollTime: pollInterval, grace: defaultGrace,
	}
	for _, opt := range opts {
		if opt == nil {
			continue
		}
		if err := opt(&o); err != nil {
			return o, err
		}
	}
	return o, o.checkMemories()
}
