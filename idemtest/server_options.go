package idemtest

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ServerOption changes how a Server is made.
type ServerOption func(*serverConfig)

type serverConfig struct {
	addr        string
	secret      string
	retention   time.Duration
	storePath   string
	ignoreKeys  bool
	requireKey  bool
	control     bool
	tls         bool
	maxBody     int64
	seed        uint64
	probability float64
	kinds       []FaultKind
}

func defaultServerConfig() serverConfig {
	return serverConfig{
		addr:      "127.0.0.1:0",
		secret:    "sk_test_idem",
		retention: 24 * time.Hour,
		maxBody:   1 << 20,
	}
}

func (c *serverConfig) validate() error {
	switch {
	case c.addr == "":
		return errors.New("idemtest: WithAddr: the address is empty; 127.0.0.1:0 lets the system choose a port")
	case c.secret == "":
		return errors.New("idemtest: WithSecret: the secret is empty; leave the option out for sk_test_idem")
	case c.retention <= 0:
		return fmt.Errorf("idemtest: WithRetention(%v): a key is honoured for more than no time", c.retention)
	case c.maxBody <= 0:
		return fmt.Errorf("idemtest: WithMaxBody(%d): a limit is at least one byte", c.maxBody)
	case !(c.probability >= 0 && c.probability <= 1):
		return fmt.Errorf("idemtest: WithRandomFaults: the probability %v is not between 0 and 1", c.probability)
	case c.ignoreKeys && c.requireKey:
		return errors.New("idemtest: IgnoreKeys and RequireKey exclude each other")
	}
	for _, k := range c.kinds {
		if k == NoFault || k >= faultKinds {
			return fmt.Errorf("idemtest: WithRandomFaults: %s is no fault", k)
		}
	}
	return nil
}

// WithAddr listens on addr instead of 127.0.0.1:0.
func WithAddr(addr string) ServerOption { return func(c *serverConfig) { c.addr = addr } }

// WithSecret is what Authorization: Bearer must carry; "sk_test_idem" without
// this option.
func WithSecret(secret string) ServerOption { return func(c *serverConfig) { c.secret = secret } }

// WithRetention is how long a key is honoured by the server's clock; 24 hours
// without this option.
func WithRetention(d time.Duration) ServerOption { return func(c *serverConfig) { c.retention = d } }

// WithStore keeps the ledger in a file (made if absent, mode 0600), so that a
// server killed and started again on the same path still knows its keys,
// effects and arrivals. Scripts are not kept.
func WithStore(path string) ServerOption { return func(c *serverConfig) { c.storePath = path } }

// WithMaxBody is the largest request body the server reads, in bytes; 1 MiB
// without this option. A larger one is answered 413.
func WithMaxBody(n int64) ServerOption { return func(c *serverConfig) { c.maxBody = n } }

// WithRandomFaults lets each unsafe arrival that no script covers meet a fault
// with the given probability. Which one follows from seed and the arrival's
// number alone. Held replies and executions end by themselves within 25 ms,
// and BigBody is 1 MiB. Without kinds: every kind but KeyExpired, which breaks
// the promise that agents rely on.
func WithRandomFaults(seed uint64, probability float64, kinds ...FaultKind) ServerOption {
	if len(kinds) == 0 {
		kinds = slices.DeleteFunc(FaultKinds(), func(k FaultKind) bool { return k == KeyExpired })
	}
	return func(c *serverConfig) {
		c.seed, c.probability, c.kinds = seed, probability, slices.Clone(kinds)
	}
}

// IgnoreKeys makes a server that does not know idempotency keys: the negative
// control of a test.
func IgnoreKeys() ServerOption { return func(c *serverConfig) { c.ignoreKeys = true } }

// RequireKey refuses unsafe requests without an Idempotency-Key with 400.
func RequireKey() ServerOption { return func(c *serverConfig) { c.requireKey = true } }

// WithControl serves the control plane under /_control/, for tests in another
// process: see Remote. Whoever can reach the address can use it.
func WithControl() ServerOption { return func(c *serverConfig) { c.control = true } }

// WithTLS serves HTTPS with HTTP/2, with a certificate made for this server;
// Client returns a client that trusts it.
func WithTLS() ServerOption { return func(c *serverConfig) { c.tls = true } }
