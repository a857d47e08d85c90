package contracts

import (
	"time"

	"github.com/idem-go/idem"
)

// Resend is the contract of Resend's POST /emails and POST /emails/batch. Its
// other endpoints take no key: use the zero contract there.
//
//   - Key: header Idempotency-Key, 1 to 256 characters. Retention: 24 hours.
//     Stored: the same response, without sending again. Other bytes: 409
//     invalid_idempotent_request. In flight: 409 concurrent_idempotent_requests.
//     Source: https://resend.com/docs/dashboard/emails/idempotency-keys; the length
//     also: github.com/resend/resend-openapi, resend.yaml.
//   - Not confirmed: a mark on stored responses.
func Resend() idem.Contract {
	return idem.Contract{
		Name:      "resend",
		Retention: 24 * time.Hour,
		Header:    "Idempotency-Key",
		MaxKey:    256,
		Verdict: byCode(verdicts{
			"invalid_idempotent_request":     idem.ReplyMismatch,
			"concurrent_idempotent_requests": idem.ReplyInFlight,
		}, "name"),
	}
}
