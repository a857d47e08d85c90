package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/idem-go/idem"
)

// Option sets up one middleware.
type Option func(*options) error

type options struct {
	scope        func(*http.Request) string
	singleTenant bool
	route        func(*http.Request) string
	wait         time.Duration
	mismatch     int
	runAgain     bool
	retention    time.Duration
	timeout      time.Duration
	maxKey       int
	maxBody      int64
	maxReply     int64
	maxKeys      int
	ignore       []string
	logger       *slog.Logger
	observer     idem.Observer
}

const (
	defaultRetention = 24 * time.Hour
	defaultTimeout   = time.Minute
	defaultMaxKey    = 255
	defaultMaxBody   = 4 << 20
	defaultMaxReply  = 16 << 20
	defaultMaxKeys   = 100_000
	largest          = 1<<30 - 1<<20 // SQLite keeps no value of a GiB
)

// Scope says whose a request is: the name of the principal that has been verified
// already, such as an account's id. Keys are separate for each. Never derive it
// from a credential, which rotates, or from what a caller may choose freely. The
// empty string is refused with 401.
func Scope(principal func(*http.Request) string) Option {
	return func(o *options) error {
		if principal == nil {
			return errors.New("Scope needs a function")
		}
		o.scope = principal
		return nil
	}
}

// SingleTenant says that all callers are one and may share their keys.
func SingleTenant() Option {
	return func(o *options) error { o.singleTenant = true; return nil }
}

// PerRoute keeps the keys of each route apart: the same key on two routes is two
// keys. Without it, a key that comes again on another path is a mismatch. The
// function names the route, by a pattern and not by a path, since names are kept
// for ever. nil: http.Request.Pattern, which is set where the middleware stands
// behind a ServeMux.
func PerRoute(name func(*http.Request) string) Option {
	return func(o *options) error {
		if name == nil {
			name = func(r *http.Request) string { return r.Pattern }
		}
		o.route = name
		return nil
	}
}

// Wait lets a request whose key is being executed wait for the reply, so long at
// most, instead of answering 409 at once.
func Wait(longest time.Duration) Option {
	return func(o *options) error {
		if longest <= 0 {
			return fmt.Errorf("Wait(%v): longer than 0", longest)
		}
		o.wait = longest
		return nil
	}
}

// MismatchUnprocessable answers another payload under a known key with 422, as the
// IETF draft has it, instead of 409. The code stays the same.
func MismatchUnprocessable() Option {
	return func(o *options) error { o.mismatch = http.StatusUnprocessableEntity; return nil }
}

// RunAgain executes an uncertain key again instead of answering 409 until it is
// resolved. It is only for handlers whose effect is taken back when they panic or
// their process dies, or that do no harm when they run twice. With SameTransaction
// it changes nothing: what is taken back there is free by itself.
func RunAgain() Option {
	return func(o *options) error { o.runAgain = true; return nil }
}

// Retention sets how long a key is honoured, counted from the end of its
// execution: 24 hours by default. Each key keeps the one that it was begun under.
func Retention(d time.Duration) Option {
	return func(o *options) error {
		if d < time.Second || d > 10*365*24*time.Hour {
			return fmt.Errorf("Retention(%v): a second to ten years", d)
		}
		o.retention = d
		return nil
	}
}

// Timeout bounds the context that the handler runs under: a minute by default. It
// replaces the end of the request's own context, so that a caller who hangs up
// does not cut an execution in half. A handler that ignores its context is waited
// for all the same.
func Timeout(d time.Duration) Option {
	return func(o *options) error {
		if d <= 0 {
			return fmt.Errorf("Timeout(%v): longer than 0", d)
		}
		o.timeout = d
		return nil
	}
}

// MaxKey sets the longest key in bytes: 255 by default.
func MaxKey(bytes int) Option {
	return func(o *options) error {
		if bytes < 1 || bytes > 4096 {
			return fmt.Errorf("MaxKey(%d): 1 to 4096", bytes)
		}
		o.maxKey = bytes
		return nil
	}
}

// MaxBody sets the longest request body in bytes: 4 MiB by default. A longer one
// is refused with 413 and nothing is executed.
func MaxBody(bytes int64) Option {
	return func(o *options) error {
		if bytes < 0 || bytes > largest {
			return fmt.Errorf("MaxBody(%d): 0 to %d", bytes, largest)
		}
		o.maxBody = bytes
		return nil
	}
}

// MaxReply sets the longest reply body that is kept, in bytes: 16 MiB by default.
// A handler that writes more gets ErrReplyTooLarge from Write. It has executed by
// then, so the reply of its key becomes, for good, a 500 with the code
// reply_too_large that says so.
func MaxReply(bytes int64) Option {
	return func(o *options) error {
		if bytes < 0 || bytes > largest {
			return fmt.Errorf("MaxReply(%d): 0 to %d", bytes, largest)
		}
		o.maxReply = bytes
		return nil
	}
}

// MaxKeys sets how many keys one caller may begin within one retention: 100,000 by
// default. One more is refused with 429; keys that are known already are answered
// as ever. It is counted in this process's memory since its start: a bound on what
// one caller can fill, not a quota.
func MaxKeys(n int) Option {
	return func(o *options) error {
		if n < 1 {
			return fmt.Errorf("MaxKeys(%d): 1 or more", n)
		}
		o.maxKeys = n
		return nil
	}
}

// Ignore leaves fields out of the comparison of payloads, since they change
// between two requests that mean the same: JSON pointers, form field names, or
// query names with a "?" before them.
func Ignore(fields ...string) Option {
	return func(o *options) error {
		for _, f := range fields {
			if f == "" || f == "?" {
				return errors.New(`Ignore: an empty name: a JSON pointer begins with /, a query name with ?`)
			}
		}
		o.ignore = append(o.ignore, fields...)
		return nil
	}
}

// Logger is told of what a person should look at: a reply that could not be kept,
// keys that could not be pruned. nil, and the default: slog.Default.
func Logger(l *slog.Logger) Option {
	return func(o *options) error { o.logger = l; return nil }
}

// Observer is told of every request that has a key (Event.Attempt 0) and of every
// execution within it (1). Event.Operation is the route, the scope and the key;
// Event.Reason is the reply's Idem-Status; Event.Intent is nil. The context that
// Start returns is the handler's.
func Observer(ob idem.Observer) Option {
	return func(o *options) error { o.observer = ob; return nil }
}

func collect(opts []Option) (options, error) {
	o := options{
		mismatch: http.StatusConflict, retention: defaultRetention, timeout: defaultTimeout,
		maxKey: defaultMaxKey, maxBody: defaultMaxBody, maxReply: defaultMaxReply, maxKeys: defaultMaxKeys,
	}
	for _, opt := range opts {
		if opt == nil {
			continue
		}
		if err := opt(&o); err != nil {
			return o, fmt.Errorf("idem/server: %w", err)
		}
	}
	switch {
	case o.scope == nil && !o.singleTenant:
		return o, errors.New("idem/server: New needs Scope(func), which names the verified caller, or SingleTenant(): keys of two callers must not meet")
	case o.scope != nil && o.singleTenant:
		return o, errors.New("idem/server: both Scope and SingleTenant: say one of them")
	}
	if o.logger == nil {
		o.logger = slog.Default()
	}
	return o, nil
}
