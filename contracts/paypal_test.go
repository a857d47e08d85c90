package contracts_test

import (
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
)

func payPal() profile {
	return profile{
		function: "PayPal", contract: contracts.PayPal,
		place: "header PayPal-Request-Id", retention: 3 * time.Hour, longest: 38,
		request: `{"amount":{"value":"10.99","currency_code":"USD"},"invoice_id":"INVOICE-123","final_capture":true}`,
		rows: []row{
			{name: "captured", status: 201, body: `{"id":"2GG279541U471931P","status":"COMPLETED","links":[]}`, want: idem.ReplyUsual},
			{name: "captured before", status: 200, body: `{"id":"2GG279541U471931P","status":"COMPLETED"}`, want: idem.ReplyUsual},
			{name: "in flight", status: 409, want: idem.ReplyInFlight,
				body: `{"name":"RESOURCE_CONFLICT","message":"The server has detected a conflict while processing this request.","details":[{"issue":"PREVIOUS_REQUEST_IN_PROGRESS","description":"A previous request on this resource is currently in progress."}],"debug_id":"90957fca61718"}`},
			{name: "a business conflict", status: 409, want: idem.ReplyUsual,
				body: `{"name":"RESOURCE_CONFLICT","message":"The server has detected a conflict while processing this request.","details":[{"issue":"DUPLICATE_RESOURCE_IDENTIFIER"}]}`},
			{name: "other bytes", status: 422, want: idem.ReplyMismatch,
				body: `{"name":"UNPROCESSABLE_ENTITY","details":[{"issue":"PAYPAL_REQUEST_ID_PREVIOUSLY_USED","description":"The PayPal-Request-ID has already been used for another request."}],"debug_id":"d5aba651d8ed7"}`},
			{name: "other bytes, older APIs", status: 400, want: idem.ReplyMismatch,
				body: `{"name":"DUPLICATE_REQUEST_ID","message":"The value of PayPal-Request-Id header has already been used","information_link":"https://developer.paypal.com/docs/api/payments/#errors","debug_id":"95864e144146b"}`},
			{name: "PayPal captures it itself", status: 422, want: idem.ReplyUnknown,
				body: `{"name":"UNPROCESSABLE_ENTITY","details":[{"issue":"ORDER_COMPLETION_IN_PROGRESS"}]}`},
			// Somebody captured it: nothing of this attempt happened. After an attempt that
			// may have happened it proves nothing, like every refusal.
			{name: "captured by somebody", status: 422, want: idem.ReplyUsual,
				body: `{"name":"UNPROCESSABLE_ENTITY","details":[{"issue":"ORDER_ALREADY_CAPTURED"}]}`},
			{name: "declined", status: 422, body: `{"name":"UNPROCESSABLE_ENTITY","details":[{"issue":"INSTRUMENT_DECLINED"}]}`, want: idem.ReplyUsual},
			{name: "server error", status: 500, body: `{"name":"INTERNAL_SERVER_ERROR","message":"An internal server error has occurred."}`, want: idem.ReplyUsual},
		},
	}
}
