package contracts_test

import (
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
)

func square() profile {
	return profile{
		function: "Square", contract: contracts.Square,
		place: "field /idempotency_key", retention: time.Hour, longest: 45,
		request: `{"source_id":"cnon:card-nonce-ok","amount_money":{"amount":1000,"currency":"USD"}}`,
		rows: []row{
			{name: "paid", status: 200, body: `{"payment":{"id":"R2B3Z8WMVt3EAmzYWLZvz7Y69EbZY","status":"COMPLETED"}}`, want: idem.ReplyUsual},
			{name: "other bytes", status: 400, want: idem.ReplyMismatch,
				body: `{"errors":[{"category":"INVALID_REQUEST_ERROR","code":"IDEMPOTENCY_KEY_REUSED","detail":"The idempotency key can only be retried with the same request data.","field":"idempotency_key"}]}`},
			{name: "a conflict", status: 409, body: `{"errors":[{"category":"INVALID_REQUEST_ERROR","code":"CONFLICT"}]}`, want: idem.ReplyUsual},
			{name: "declined", status: 402, body: `{"errors":[{"category":"PAYMENT_METHOD_ERROR","code":"GENERIC_DECLINE"}]}`, want: idem.ReplyUsual},
			{name: "declined for a moment", status: 400, body: `{"errors":[{"category":"PAYMENT_METHOD_ERROR","code":"TEMPORARY_ERROR"}]}`, want: idem.ReplyUnknown},
			{name: "their own error with a 4xx", status: 400, body: `{"errors":[{"category":"API_ERROR","code":"SOMETHING_NEW"}]}`, want: idem.ReplyUnknown},
			{name: "rate limit", status: 429, body: `{"errors":[{"category":"RATE_LIMIT_ERROR","code":"RATE_LIMITED"}]}`, want: idem.ReplyUsual},
			{name: "server error", status: 500, body: `{"errors":[{"category":"API_ERROR","code":"INTERNAL_SERVER_ERROR"}]}`, want: idem.ReplyUnknown},
		},
	}
}
