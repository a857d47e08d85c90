package contracts

import (
	"time"

	"github.com/idem-go/idem"
)

// ACP is the contract of sellers that speak the Agentic Commerce Protocol (agent
// checkout, by OpenAI and Stripe), from its version 2026-04-17. Sellers of older
// versions may ignore keys, and promise no retention: lower it for them.
//
//   - Key: header Idempotency-Key on every POST, at most 255 characters, for one
//     credential and path. Retention: 24 hours at least. Stored: the first response
//     and its status, but no 5xx, marked Idempotent-Replayed: true. Other bytes: 422
//     idempotency_conflict. In flight: 409 idempotency_in_flight with Retry-After.
//     Source: github.com/agentic-commerce-protocol/agentic-commerce-protocol,
//     rfcs/rfc.agentic_checkout.md section 6 and
//     spec/2026-04-17/openapi/openapi.agentic_checkout.yaml.
//   - Delegated authentication answers other bytes with 409 idempotency_conflict
//     (rfcs/rfc.delegate_authentication.md), and version 2025-09-29 has the error
//     type request_not_idempotent, so the code is read and not the status.
//   - duplicate_request, of delegated payments, does not say what became of the
//     other request; processing_error and service_unavailable are failures of the
//     seller: unknown whatever their status.
//
// A declined payment is a 200 whose session is not completed: read its status.
func ACP() idem.Contract {
	return idem.Contract{
		Name:      "agentic commerce protocol",
		Retention: 24 * time.Hour,
		Header:    "Idempotency-Key",
		MaxKey:    255,
		Replayed:  "Idempotent-Replayed",
		Verdict: byCode(verdicts{
			"idempotency_in_flight":  idem.ReplyInFlight,
			"idempotency_conflict":   idem.ReplyMismatch,
			"request_not_idempotent": idem.ReplyMismatch,
			"duplicate_request":      idem.ReplyUnknown,
			"processing_error":       idem.ReplyUnknown,
			"service_unavailable":    idem.ReplyUnknown,
		}, "code", "type"),
	}
}
