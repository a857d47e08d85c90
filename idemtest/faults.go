package idemtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// FaultKind says what goes wrong with one arrival. The zero value is NoFault.
type FaultKind uint8

// The kinds. "Before" means that the server did nothing; "after" means that
// it executed the request (or replayed its stored reply) as if all were well,
// and that only the reply suffers. A fault stands in front of the server, so
// it strikes before Authorization, the key or the parameters are looked at,
// unless its text says otherwise.
const (
	NoFault FaultKind = iota // the request is handled as usual

	// The connection.
	DropBefore  // request read, nothing done, connection closed without a reply
	DropAfter   // executed, connection closed without a reply
	ResetUnread // connection reset before the request's body is read; nothing done
	ResetBefore // request read, nothing done, connection reset
	ResetAfter  // executed, connection reset
	StaleUnread // a kept-alive connection is closed at the moment this request arrives on it, unread; on a fresh connection the request's head is read first
	StaleAfter  // this request arrives on a kept-alive connection, is executed, and the connection closes without a reply

	// Time.
	SlowReply       // executed, the reply is sent after Delay (100 ms) or when Hold or Release says so
	HoldReply       // executed, the reply is held until Release, Hold or Delay
	HoldExecution   // held before the effect, the key being in use meanwhile, until Release, Hold or Delay
	InFlightOverlap // a real execution of this very request is held (until Release, Hold or Delay) and keeps the key in use; this arrival is answered 409 by the ordinary key check

	// The body and the frame of the reply; all after the effect.
	CutBody       // Content-Length promises the whole body, After bytes of it are sent (half of it)
	CutChunked    // the same with a chunked body, whose end never comes
	WrongLength   // the whole body is sent, Content-Length says ten more; After: says that number instead (HTTP/1 only)
	Garbage       // what is sent is not HTTP
	HugeHeaders   // Size bytes of headers (11 MiB, over the limit of net/http)
	EndlessBody   // a 200 whose JSON body never ends; Size: the connection closes after so many bytes
	BigBody       // the reply is Size bytes of valid JSON (17 MiB), stored and replayed as such
	Empty200      // the stored reply is a 200 without a body
	Informational // 102 and 103 replies come first, then the usual reply
	Trailers      // the usual reply, chunked, with trailers

	// What a server under stress says.
	TooMany           // 429 with Retry-After, before the key is looked at
	TooManyBare       // 429 without Retry-After
	Error500Before    // 500, nothing done, not stored
	Error500After     // the effect happens, the stored reply is a 500; a known key replays what it has
	Error500Stored    // no effect, but execution had begun: the stored reply is a 500
	Unavailable503    // 503 with Retry-After, nothing done
	InFlightForced    // 409 idempotency_key_in_use although nothing is executing
	MismatchForced    // 400 idempotency_error although nothing differs
	Unauthorized401   // nothing done
	Forbidden403      // nothing done
	RequestTimeout408 // nothing done
	TooEarly425       // nothing done
	KeyExpired        // the key is forgotten first, then the request is handled: a broken promise

	// What stands between.
	Proxy502Before   // an HTML page, nothing done
	Proxy502After    // an HTML page, executed
	GatewayTime504   // an HTML page, executed
	CaptivePortal    // a 200 HTML page, nothing done
	Redirect307      // to the same path of the same host, nothing done
	Redirect307Other // to the same path of OtherURL, nothing done
	Redirect302      // to the same path, which a client follows with a GET; nothing done
	Redirect303      // likewise
	Duplicate        // the network delivers the request twice; the second goes through the key check, the reply is the first's

	faultKinds // their number
)

// String is the kind's name in scripts and ledgers.
func (k FaultKind) String() string {
	names := [faultKinds]string{
		NoFault: "none", DropBefore: "drop_before", DropAfter: "drop_after",
		ResetUnread: "reset_unread", ResetBefore: "reset_before", ResetAfter: "reset_after",
		StaleUnread: "stale_unread", StaleAfter: "stale_after",
		SlowReply: "slow_reply", HoldReply: "hold_reply", HoldExecution: "hold_execution",
		InFlightOverlap: "in_flight_overlap", CutBody: "cut_body", CutChunked: "cut_chunked",
		WrongLength: "wrong_length", Garbage: "garbage", HugeHeaders: "huge_headers",
		EndlessBody: "endless_body", BigBody: "big_body", Empty200: "empty_200",
		Informational: "informational", Trailers: "trailers",
		TooMany: "429", TooManyBare: "429_bare", Error500Before: "500_before",
		Error500After: "500_after", Error500Stored: "500_stored", Unavailable503: "503",
		InFlightForced: "409_in_flight", MismatchForced: "400_mismatch",
		Unauthorized401: "401", Forbidden403: "403", RequestTimeout408: "408", TooEarly425: "425",
		KeyExpired: "key_expired", Proxy502Before: "502_before", Proxy502After: "502_after",
		GatewayTime504: "504_after", CaptivePortal: "captive_portal",
		Redirect307: "307", Redirect307Other: "307_other", Redirect302: "302", Redirect303: "303",
		Duplicate: "duplicate",
	}
	if k >= faultKinds {
		return fmt.Sprintf("FaultKind(%d)", uint8(k))
	}
	return names[k]
}

// FaultKinds returns every kind but NoFault.
func FaultKinds() []FaultKind {
	all := make([]FaultKind, 0, faultKinds-1)
	for k := NoFault + 1; k < faultKinds; k++ {
		all = append(all, k)
	}
	return all
}

// ParseFaultKind is the reverse of FaultKind.String.
func ParseFaultKind(name string) (FaultKind, error) {
	for k := NoFault; k < faultKinds; k++ {
		if k.String() == name {
			return k, nil
		}
	}
	known := make([]string, 0, faultKinds)
	for _, k := range FaultKinds() {
		known = append(known, k.String())
	}
	return NoFault, fmt.Errorf("idemtest: no fault is called %q; there are: %s", name, strings.Join(known, ", "))
}

// MarshalText writes the kind's name.
func (k FaultKind) MarshalText() ([]byte, error) {
	if k >= faultKinds {
		return nil, fmt.Errorf("idemtest: %s is no fault kind", k)
	}
	return []byte(k.String()), nil
}

// UnmarshalText reads a kind's name.
func (k *FaultKind) UnmarshalText(text []byte) error {
	parsed, err := ParseFaultKind(string(text))
	if err != nil {
		return err
	}
	*k = parsed
	return nil
}

// Acts reports whether the effect of a first arrival happens under this fault
// (if its parameters are valid). InFlightOverlap acts, though the arrival that
// took it is answered 409: the execution it holds is another one.
func (k FaultKind) Acts() bool {
	switch k {
	case NoFault, DropAfter, ResetAfter, StaleAfter, SlowReply, HoldReply, HoldExecution, InFlightOverlap,
		CutBody, CutChunked, WrongLength, Garbage, HugeHeaders, EndlessBody, BigBody, Empty200,
		Informational, Trailers, Error500After, KeyExpired, Proxy502After, GatewayTime504, Duplicate:
		return true
	}
	return false
}

// Fault is one thing that goes wrong. Only Kind is needed: each kind says
// which of the knobs it reads and what their zero value means.
type Fault struct {
	Kind FaultKind
	// Delay ends SlowReply, HoldReply, HoldExecution and InFlightOverlap by
	// itself. Zero: 100 ms for SlowReply, never for the others.
	Delay time.Duration
	// RetryAfter is what TooMany and Unavailable503 ask for, rounded up to
	// seconds. Zero says 0.
	RetryAfter time.Duration
	// After counts bytes: of the body that CutBody and CutChunked let
	// through, or what WrongLength claims.
	After int
	// Size counts bytes, for HugeHeaders, EndlessBody and BigBody.
	Size int
	// Hold ends a held reply or execution when it is closed. It is not
	// carried by the control plane.
	Hold <-chan struct{}
}

// maxFaultSize bounds what a fault may ask the server to send in one piece.
const maxFaultSize = 256 << 20

func (f Fault) validate() error {
	switch {
	case f.Kind >= faultKinds:
		return fmt.Errorf("idemtest: %s is no fault kind", f.Kind)
	case f.Delay < 0 || f.RetryAfter < 0:
		return fmt.Errorf("idemtest: fault %s: Delay and RetryAfter cannot be negative", f.Kind)
	case f.After < 0 || f.Size < 0 || f.Size > maxFaultSize:
		return fmt.Errorf("idemtest: fault %s: After and Size lie between 0 and %d", f.Kind, maxFaultSize)
	}
	return nil
}

// faultJSON is a Fault as the control plane writes it: durations as "250ms".
type faultJSON struct {
	Kind       FaultKind `json:"kind"`
	Delay      string    `json:"delay,omitempty"`
	RetryAfter string    `json:"retry_after,omitempty"`
	After      int       `json:"after,omitempty"`
	Size       int       `json:"size,omitempty"`
}

// MarshalJSON writes durations as text ("250ms"). A fault with Hold is
// refused: a channel does not leave its process; use Release.
func (f Fault) MarshalJSON() ([]byte, error) {
	if f.Hold != nil {
		return nil, errors.New("idemtest: Fault.Hold cannot be sent to another process; leave it out and use Release")
	}
	out := faultJSON{Kind: f.Kind, After: f.After, Size: f.Size}
	if f.Delay != 0 {
		out.Delay = f.Delay.String()
	}
	if f.RetryAfter != 0 {
		out.RetryAfter = f.RetryAfter.String()
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (f *Fault) UnmarshalJSON(data []byte) error {
	var in faultJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	out := Fault{Kind: in.Kind, After: in.After, Size: in.Size}
	for _, d := range []struct {
		text string
		into *time.Duration
	}{{in.Delay, &out.Delay}, {in.RetryAfter, &out.RetryAfter}} {
		if d.text == "" {
			continue
		}
		parsed, err := time.ParseDuration(d.text)
		if err != nil {
			return fmt.Errorf("idemtest: fault %s: %w", in.Kind, err)
		}
		*d.into = parsed
	}
	if err := out.validate(); err != nil {
		return err
	}
	*f = out
	return nil
}
