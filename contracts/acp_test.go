package contracts_test

import (
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
)

func acp() profile {
	return profile{
		function: "ACP", contract: contracts.ACP,
		place: "header Idempotency-Key", retention: 24 * time.Hour, longest: 255,
		request: `{"buyer":{"first_name":"John","email":"johnsmith@mail.com"},"payment_data":{"token":"spt_123","provider":"stripe"}}`,
		rows: []row{
			{name: "completed", status: 200, body: `{"id":"checkout_session_123","status":"completed","order":{"id":"ord_abc123"}}`, want: idem.ReplyUsual},
			{name: "declined inside a success", status: 200, want: idem.ReplyUsual,
				body: `{"id":"checkout_session_pd_001","status":"ready_for_payment","messages":[{"type":"error","code":"payment_declined","content":"Your payment was declined."}]}`},
			{name: "in flight", status: 409, header: [2]string{"Retry-After", "1"}, want: idem.ReplyInFlight,
				body: `{"type":"invalid_request","code":"idempotency_in_flight","message":"A request with this Idempotency-Key is currently being processed"}`},
			{name: "other bytes", status: 422, want: idem.ReplyMismatch,
				body: `{"type":"invalid_request","code":"idempotency_conflict","message":"Idempotency-Key has already been used with a different request body"}`},
			{name: "other bytes, as a 409", status: 409, want: idem.ReplyMismatch,
				body: `{"type":"invalid_request","code":"idempotency_conflict","message":"Same Idempotency-Key used with different parameters"}`},
			{name: "other bytes, the first version", status: 409, body: `{"type":"request_not_idempotent","code":"request_not_idempotent","message":"x"}`, want: idem.ReplyMismatch},
			{name: "another conflict", status: 409, body: `{"type":"invalid_request","code":"session_locked","message":"x"}`, want: idem.ReplyUsual},
			{name: "a duplicate of something", status: 400, body: `{"type":"invalid_request","code":"duplicate_request","message":"x"}`, want: idem.ReplyUnknown},
			{name: "refused", status: 400, body: `{"type":"invalid_request","code":"invalid","message":"x","param":"$.line_items[0].quantity"}`, want: idem.ReplyUsual},
			{name: "a stored refusal", status: 405, header: [2]string{"Idempotent-Replayed", "true"}, body: `{"type":"invalid_request","code":"not_cancelable","message":"x"}`, want: idem.ReplyUsual, stored: true},
			{name: "their failure with a 4xx", status: 400, body: `{"type":"processing_error","code":"x","message":"x"}`, want: idem.ReplyUnknown},
			{name: "unavailable", status: 503, body: `{"type":"service_unavailable","code":"x","message":"x"}`, want: idem.ReplyUnknown},
		},
	}
}
