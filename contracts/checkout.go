package contracts

import (
	"net/http"
	"time"

	"github.com/idem-go/idem"
)

// Checkout is the contract of Checkout.com's payments API: payments, their
// captures, refunds, voids, authorizations and cancellations, payment contexts
// and transfers.
//
//   - Key: header Cko-Idempotency-Key. Retention: 24 hours, unless agreed otherwise;
//     older editions gave the sandbox 120 seconds. Stored: 2xx only; after a 4xx or
//     5xx the payment is attempted anew.
//     Source: https://www.checkout.com/docs/payments/manage-payments/idempotency.
//   - In flight: 409, "conflict with another request being processed"; formerly a
//     429, which now is a rate limit only. A 409 that names error codes of its own
//     is left to the usual table. Source: https://support.checkout.com/hc/en-us/articles/24570669653010.
//   - Not confirmed: a greatest length (255 is taken), and what other bytes under
//     a known key are answered with.
//
// A payment declined by the bank is a 201 with status Declined.
func Checkout() idem.Contract {
	return idem.Contract{
		Name:      "checkout.com",
		Retention: 24 * time.Hour,
		Header:    "Cko-Idempotency-Key",
		Verdict: func(r *http.Response, body []byte) idem.Verdict {
			if r.StatusCode == http.StatusConflict && len(texts(body, "error_codes/*")) == 0 {
				return idem.ReplyInFlight
			}
			return idem.ReplyUsual
		},
	}
}
