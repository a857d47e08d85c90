package contracts

import (
	"time"

	"github.com/idem-go/idem"
)

// PayPal is the contract of PayPal's REST APIs. A second request under a key is
// answered with the latest status of the first, not with its first answer.
//
//   - Key: header PayPal-Request-Id, unique for each request and kind of call.
//     Source: https://developer.paypal.com/api/rest/reference/idempotency/.
//   - Length: 108 for Orders v2, 78 for Payments v1, 1000 for Payouts; none stated
//     elsewhere. Not confirmed: the limit of 38 that is told of older calls; taken,
//     since a UUID fits.
//   - Retention differs by API: 3 hours (Payment Method Tokens v3, Payment
//     Experience v1), 6 hours (Orders v2, up to 72 by agreement), 72 hours
//     (Subscriptions, Catalog), 30 days (Payouts, Payments v1), 45 days (Payments
//     v2). The shortest is set: raise Retention for the operation at hand. An API
//     whose reference does not name the header ignores it: use the zero contract.
//     Source of both: github.com/paypal/paypal-rest-api-specifications, openapi/*.json,
//     parameter paypal_request_id.
//   - Other bytes: 422 with issue PAYPAL_REQUEST_ID_PREVIOUSLY_USED, in older APIs
//     400 with name DUPLICATE_REQUEST_ID. Source:
//     https://developer.paypal.com/api/payment-tokens/v3/errors/paypal_request_id_previously_used,
//     https://developer.paypal.com/api/deprecated/payments/v1/errors/duplicate_request_id.
//   - In flight: "might fail the second request" is all the guide says; Payments v2
//     has 409 with issue PREVIOUS_REQUEST_IN_PROGRESS. Source: the guide above, and
//     openapi/payments_payment_v2.json.
//   - 422 ORDER_COMPLETION_IN_PROGRESS means that PayPal itself is capturing the
//     order: unknown. Source: openapi/checkout_orders_v2.json.
//
// Payouts were once seen to run twice under one PayPal-Request-Id
// (https://github.com/paypal/PayPal-Java-SDK/issues/379): set sender_batch_id too.
func PayPal() idem.Contract {
	return idem.Contract{
		Name:      "paypal",
		Retention: 3 * time.Hour,
		Header:    "PayPal-Request-Id",
		MaxKey:    38,
		Verdict: byCode(verdicts{
			"PREVIOUS_REQUEST_IN_PROGRESS":      idem.ReplyInFlight,
			"PAYPAL_REQUEST_ID_PREVIOUSLY_USED": idem.ReplyMismatch,
			"DUPLICATE_REQUEST_ID":              idem.ReplyMismatch,
			"ORDER_COMPLETION_IN_PROGRESS":      idem.ReplyUnknown,
		}, "details/*/issue", "name"),
	}
}
