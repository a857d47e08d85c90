package contracts

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/idem-go/idem"
)

// Adyen is the contract of Adyen's APIs. Keys are kept for the company account
// and one region: a request that fails over to another region is a new one.
//
//   - Key: header Idempotency-Key, at most 64 characters. Retention: 7 days at
//     least; older editions of the page said 31, so the shorter one stands. Stored:
//     the response to the first attempt.
//     Source: https://docs.adyen.com/development-resources/api-idempotency.
//   - In flight: 422 or 409 with errorCode 704, "request already processed or in
//     progress". Source: the same page; seen as 422 in
//     https://github.com/odoo/odoo/pull/287020 and as 409 in
//     github.com/vtexdocs/known-issues.
//   - The reply header Transient-Error: true asks for the same key again, so such
//     a reply is no refusal whatever its status; false with 704 asks not to, and is
//     unknown. Source: the same page, read as others quote it.
//   - Other bytes: not confirmed, no code is documented for it.
//
// The echo of Idempotency-Key in a reply does not tell a stored reply from a
// fresh one. A payment refused by the bank is a 200 with a resultCode.
func Adyen() idem.Contract {
	return idem.Contract{
		Name:      "adyen",
		Retention: 7 * 24 * time.Hour,
		Header:    "Idempotency-Key",
		MaxKey:    64,
		Verdict: func(r *http.Response, body []byte) idem.Verdict {
			if r.StatusCode < http.StatusBadRequest {
				return idem.ReplyUsual
			}
			transient := strings.ToLower(r.Header.Get("Transient-Error"))
			switch known := slices.Contains(texts(body, "errorCode"), "704"); {
			case known && transient != "false":
				return idem.ReplyInFlight
			case known, transient == "true":
				return idem.ReplyUnknown
			}
			return idem.ReplyUsual
		},
	}
}
