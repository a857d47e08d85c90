package contracts

import (
	"time"

	"github.com/idem-go/idem"
)

// StripeV2 is the contract of Stripe's /v2 namespace. It differs from
// [idem.Stripe] in what is kept: a success is not repeated and gives an updated
// response, a failure or partial failure is executed again under the same key.
// So a refusal speaks for its own attempt only, and no reply counts as stored.
// POST and DELETE take keys; GET needs none.
//
//   - Key: header Idempotency-Key, at most 255 characters. Retention: 30 days, for
//     the same API and account or sandbox.
//     Source: https://docs.stripe.com/api-v2-overview#idempotency and
//     https://docs.stripe.com/api/idempotent_requests (the length).
//   - Other bytes: error type idempotency_error.
//     Source: github.com/stripe/stripe-ruby, lib/stripe/api_requestor.rb, which
//     reads that type from /v2 errors.
//   - In flight: not confirmed for /v2; the code of v1, idempotency_key_in_use, is
//     taken, since waiting does no harm.
//   - Not confirmed: that a 4xx of /v2 never follows partial work. It is left to
//     the usual table, as a refusal.
func StripeV2() idem.Contract {
	return idem.Contract{
		Name:      "stripe v2",
		Retention: 30 * 24 * time.Hour,
		Header:    "Idempotency-Key",
		MaxKey:    255,
		Verdict: byCode(verdicts{
			// The first that is found decides: the code is asked before the type.
			"idempotency_key_in_use": idem.ReplyInFlight,
			"idempotency_error":      idem.ReplyMismatch,
		}, "error/code", "error/type"),
	}
}
