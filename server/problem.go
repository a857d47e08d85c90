package server

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// StatusHeader is on every reply of the middleware and says what it did. Standard
// clients trust no refusal without it: a proxy may have made it up.
const StatusHeader = "Idem-Status"

// ReplayedHeader is true on a reply that was kept from the first execution.
const ReplayedHeader = "Idempotent-Replayed"

// The values of StatusHeader.
const (
	StatusExecuted  = "executed"                 // the handler ran for this request
	StatusReplayed  = "replayed"                 // the kept reply of the first execution
	StatusRefused   = "refused-before-execution" // nothing happened, and the key is as it was
	StatusInFlight  = "in-flight"                // the key is being executed
	StatusMismatch  = "mismatch"                 // the key is known with another payload
	StatusUncertain = "uncertain"                // the key was begun and nobody knows how far it came
)

// The codes of the middleware's problem documents (RFC 9457). They are stable.
const (
	CodeKeyRequired    = "idempotency_key_required" // 400
	CodeKeyInvalid     = "idempotency_key_invalid"  // 400
	CodeNoPrincipal    = "principal_required"       // 401
	CodeKeyMismatch    = "idempotency_key_mismatch" // 409, or 422 with MismatchUnprocessable
	CodeKeyInUse       = "idempotency_key_in_use"   // 409
	CodeUncertain      = "operation_uncertain"      // 409
	CodeBodyTooLarge   = "body_too_large"           // 413
	CodeBodyIncomplete = "body_incomplete"          // 400
	CodeBodyRead       = "body_already_read"        // 500: another middleware read it before this one
	CodeTooManyKeys    = "too_many_keys"            // 429
	CodeReplyTooLarge  = "reply_too_large"          // 500
	CodeUnavailable    = "store_unavailable"        // 503
)

// Problem is a problem document as it is sent.
type Problem struct {
	Type   string `json:"type"` // "urn:idem:problem:" and the code
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

// refusal is a problem document as a reply.
func refusal(status int, code, title, detail string) *reply {
	p := Problem{Type: "urn:idem:problem:" + code, Title: title, Status: status, Detail: detail, Code: code}
	body, err := json.Marshal(p)
	if err != nil { // strings and a number: it cannot be
		body = []byte(`{"code":` + strconv.Quote(code) + `}`)
	}
	return &reply{
		status: status, body: append(body, '\n'),
		header: http.Header{"Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}},
	}
}

// later says when to ask again, in whole seconds.
func (r *reply) later(wait time.Duration) *reply {
	seconds := max(1, int64((wait+time.Second-1)/time.Second))
	r.header.Set("Retry-After", strconv.FormatInt(seconds, 10))
	return r
}
