package contracts_test

import (
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
)

func stripeV2() profile {
	return profile{
		function: "StripeV2", contract: contracts.StripeV2,
		place: "header Idempotency-Key", retention: 30 * 24 * time.Hour, longest: 255,
		request: `{"contact_email":"jenny@example.com","display_name":"Jenny"}`,
		rows: []row{
			{name: "created", status: 200, body: `{"id":"acct_1Nv0FGQ9RKHgCVdK","object":"v2.core.account"}`, want: idem.ReplyUsual},
			{name: "other bytes", status: 400, want: idem.ReplyMismatch,
				body: `{"error":{"type":"idempotency_error","code":"idempotency_error","message":"Keys for idempotent requests can only be used with the same parameters they were first used with."}}`},
			{name: "in flight", status: 409, want: idem.ReplyInFlight,
				body: `{"error":{"type":"idempotency_error","code":"idempotency_key_in_use","message":"There is currently another in-progress request using this Idempotent Key."}}`},
			{name: "a business conflict", status: 409, want: idem.ReplyUsual,
				body: `{"error":{"type":"already_exists","code":"outbound_setup_intent_already_canceled","message":"Already canceled."}}`},
			{name: "refused", status: 400, want: idem.ReplyUsual,
				body: `{"error":{"code":"invalid_fields","message":"Invalid value for include.","type":"invalid_request_error"}}`},
			// Failures of /v2 run again: the mark that v1 puts on stored replies is none here.
			{name: "refused, marked as v1 does", status: 402, header: [2]string{"Idempotent-Replayed", "true"}, want: idem.ReplyUsual,
				body: `{"error":{"code":"insufficient_funds","message":"Not enough money.","type":"insufficient_funds"}}`},
			{name: "rate limit", status: 429, body: `{"error":{"code":"rate_limit","type":"rate_limit"}}`, want: idem.ReplyUsual},
			{name: "server error", status: 500, body: `{"error":{"type":"api_error","message":"An unknown error occurred."}}`, want: idem.ReplyUsual},
		},
	}
}
