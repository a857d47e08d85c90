package idem

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/idem-go/idem/internal/lifecycle"
)

// Effect says whether an operation changes anything. The zero value is the safe
// one: SideEffect.
type Effect uint8

const (
	SideEffect Effect = iota // journaled and keyed
	ReadOnly                 // neither journaled nor keyed, retried freely
)

// Policy is how one operation, or a prefix of operations, is done. The zero
// Policy is a side effect whose far side promises nothing: at most once.
type Policy struct {
	Effect   Effect
	Contract Contract // zero: the far side promises nothing, so at most once
	Retry    Retry    // zero: the defaults

	// ID lists JSON pointers (for a form: field names) whose values make the
	// intent's ID, so that a model's new call id changes nothing. The caller's ID
	// is used only when none of them is in the payload.
	ID []string

	// Ignore lists JSON pointers (for a form: field names) left out of the
	// fingerprint: fields that change between two calls that mean the same.
	Ignore []string

	// Redact lists query names, besides the common ones, whose values are secrets:
	// they never reach the journal, a log or the fingerprint.
	Redact []string

	// Window is the re-emission guard: the same scope, operation and payload under
	// another ID inside it is taken for the first intent. 0: off.
	Window time.Duration

	// Refuse makes a re-emission ErrDuplicate. false: it gets the first outcome.
	Refuse bool

	Limit Limit // budget; zero: none

	// Version names the meaning of this operation's payload. Intents journaled
	// under another version are not recovered by themselves.
	Version string

	// Account names whose credentials are used. Intents journaled under another
	// account are not recovered by themselves.
	Account string

	// Authorize is called before every attempt, recovered ones too, on the request
	// that will be sent: to sign it, or to add credentials. It must leave the body
	// and the key alone. Its error means that nothing was sent.
	Authorize func(*http.Request) error

	// Reconcile asks the far side what became of an intent that cannot be settled
	// by sending. It may be called several times for one intent. A Resolution whose
	// State is neither Succeeded nor Failed, or an error, leaves it in doubt. Failed
	// must mean that it has not happened and can no longer happen.
	Reconcile func(ctx context.Context, in *Intent) (Resolution, error)
}

// Retry says how often and how patiently one call tries. Zero fields take the
// defaults: 6 attempts, 250 ms, 10 s, 60 s.
type Retry struct {
	MaxAttempts int // of one call; a later call or Recover starts again

	// The wait before attempt n is random between 0 and MinBackoff doubled n-1
	// times, at most MaxBackoff. A far side that names a time (Retry-After) is
	// obeyed, up to six times MaxBackoff.
	MinBackoff, MaxBackoff time.Duration

	AttemptTimeout time.Duration // of one attempt, its whole reply included
}

const (
	retryAfterFactor    = 6 // a far side's Retry-After is obeyed up to this many times MaxBackoff
	longestBackoff      = 365 * 24 * time.Hour
	defaultMaxAttempts  = 6
	defaultMinBackoff   = 250 * time.Millisecond
	defaultMaxBackoff   = 10 * time.Second
	defaultAttemptLimit = 60 * time.Second
)

func (r Retry) withDefaults() Retry {
	if r.MaxAttempts == 0 {
		r.MaxAttempts = defaultMaxAttempts
	}
	if r.MinBackoff == 0 {
		r.MinBackoff = defaultMinBackoff
	}
	if r.MaxBackoff == 0 {
		r.MaxBackoff = max(defaultMaxBackoff, r.MinBackoff)
	}
	if r.AttemptTimeout == 0 {
		r.AttemptTimeout = defaultAttemptLimit
	}
	return r
}

// Resolution is an answer to what became of an intent, by Policy.Reconcile or by
// a person through Client.Resolve.
type Resolution struct {
	State  State  // Succeeded or Failed; anything else: still unknown
	Again  bool   // with Failed, from a person: the next call of the same identity sends it, under a new key
	Result []byte // with Succeeded: the reply's body, or the tool's output as JSON
	Note   string // who says so, and why; journaled
}

// Validate says what Open and NewTool would say of the policy of an operation: nil,
// or why it contradicts itself.
func (p Policy) Validate(operation string) error { return p.validate(operation) }

// validate refuses a policy that could never be kept, when a client is opened.
func (p Policy) validate(operation string) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("idem: policy of %q: %w", operation, fmt.Errorf(format, args...))
	}
	if operation == "" {
		return fmt.Errorf("idem: a policy needs an operation name: WithPolicy(\"create_invoice\", …), or a prefix such as \"stripe.*\"")
	}
	if err := p.Contract.validate(); err != nil {
		return bad("%w", err)
	}
	r := p.Retry
	if r.MaxAttempts < 0 || r.MinBackoff < 0 || r.MaxBackoff < 0 || r.AttemptTimeout < 0 {
		return bad("Retry has a negative field: leave it 0 for the default")
	}
	r = r.withDefaults()
	if r.MinBackoff > r.MaxBackoff {
		return bad("MinBackoff %v is longer than MaxBackoff %v", r.MinBackoff, r.MaxBackoff)
	}
	if r.MaxBackoff > longestBackoff {
		return bad("MaxBackoff %v is longer than %v: end the call instead, and make it again, or Recover, later", r.MaxBackoff, longestBackoff)
	}
	if c := p.Contract; c.keepsKeys() && r.AttemptTimeout > c.Retention-lifecycle.WindowMargin(c.Retention) {
		return bad("the contract honours a key for %v, which one attempt of up to %v does not fit into: lower Retry.AttemptTimeout",
			c.Retention, r.AttemptTimeout)
	}
	for _, pointer := range append(append([]string{}, p.ID...), p.Ignore...) {
		if pointer == "" {
			return bad("an empty pointer in ID or Ignore: a JSON pointer begins with /, a form field has a name")
		}
	}
	if p.Window < 0 || p.Limit.Intents < 0 || p.Limit.Cost < 0 || p.Limit.Per < 0 {
		return bad("Window and Limit cannot be negative")
	}
	if (p.Limit.Intents > 0 || p.Limit.Cost > 0) && p.Limit.Per == 0 {
		return bad("Limit needs Per, the time it counts over")
	}
	return nil
}

// clone keeps a caller's later changes out.
func (p Policy) clone() Policy {
	p.ID, p.Ignore, p.Redact = slices.Clone(p.ID), slices.Clone(p.Ignore), slices.Clone(p.Redact)
	return p
}

// policies finds the policy of an operation: by its name, else by the longest
// prefix, which is a name that ends in "*".
type policies struct {
	named    map[string]*Policy // which nothing changes any more
	prefixes []string           // without the "*", longest first
}

func (ps *policies) add(operation string, p Policy) {
	if ps.named == nil {
		ps.named = map[string]*Policy{}
	}
	prefix, isPrefix := strings.CutSuffix(operation, "*")
	if _, known := ps.named[operation]; isPrefix && !known {
		ps.prefixes = append(ps.prefixes, prefix)
		slices.SortFunc(ps.prefixes, func(a, b string) int { return len(b) - len(a) })
	}
	p = p.clone()
	ps.named[operation] = &p
}

func (ps *policies) of(operation string) (*Policy, bool) {
	if p, ok := ps.named[operation]; ok {
		return p, true
	}
	for _, prefix := range ps.prefixes {
		if strings.HasPrefix(operation, prefix) {
			return ps.named[prefix+"*"], true
		}
	}
	return &Policy{}, false
}
