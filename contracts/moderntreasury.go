package contracts

import (
	"net/http"
	"time"

	"github.com/idem-go/idem"
)

// ModernTreasury is the contract of Modern Treasury's API. POST takes keys.
//
//   - Key: header Idempotency-Key. Keys belong to the API key that sent them, so
//     recover with the same one (Policy.Account), and do not depend on the route.
//     Retention: 24 hours. Stored: successes, with status and body; anything else is
//     executed again. In flight: 409.
//     Source: https://docs.moderntreasury.com/reference/idempotent-requests.
//   - Other bytes: not detected. The key alone is looked up, and the first success
//     is echoed.
//   - Not confirmed: a greatest length (255 is taken), and that no other conflict
//     is a 409. One that is would be asked for again under the key, and end in
//     doubt.
func ModernTreasury() idem.Contract {
	return idem.Contract{
		Name:      "modern treasury",
		Retention: 24 * time.Hour,
		Header:    "Idempotency-Key",
		Verdict: func(r *http.Response, _ []byte) idem.Verdict {
			if r.StatusCode == http.StatusConflict {
				return idem.ReplyInFlight
			}
			return idem.ReplyUsual
		},
	}
}
