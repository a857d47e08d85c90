package contracts_test

import (
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
)

func plaid() profile {
	return profile{
		function: "Plaid", contract: contracts.Plaid,
		place: "field /idempotency_key", retention: 24 * time.Hour, longest: 50,
		request: `{"wallet_id":"wallet-id-sandbox-53e70ee9","counterparty":{"name":"Bob"},"amount":{"iso_currency_code":"GBP","value":1},"reference":"transaction ABC123"}`,
		rows: []row{
			{name: "initiated", status: 200, body: `{"transaction_id":"wallet-transaction-id-sandbox-feca8a7a","status":"EXECUTED","request_id":"4zlKapIkTm8p5KM"}`, want: idem.ReplyUsual},
			{name: "refused", status: 400, want: idem.ReplyUsual,
				body: `{"error_type":"INVALID_REQUEST","error_code":"MISSING_FIELDS","error_message":"the following required fields are missing: amount","request_id":"4zlKapIkTm8p5KM"}`},
			{name: "no money", status: 400, body: `{"error_type":"TRANSACTION_ERROR","error_code":"TRANSACTION_INSUFFICIENT_FUNDS"}`, want: idem.ReplyUsual},
			{name: "the bank is silent", status: 400, body: `{"error_type":"INSTITUTION_ERROR","error_code":"INSTITUTION_NOT_RESPONDING"}`, want: idem.ReplyUnknown},
			{name: "rate limit", status: 429, body: `{"error_type":"RATE_LIMIT_EXCEEDED","error_code":"TRANSFER_LIMIT"}`, want: idem.ReplyLater},
			{name: "rate limit with a 400", status: 400, body: `{"error_type":"RATE_LIMIT_EXCEEDED","error_code":"ADDITION_LIMIT"}`, want: idem.ReplyLater},
			{name: "a conflict", status: 409, body: `{"error_type":"TRANSFER_ERROR","error_code":"SOMETHING"}`, want: idem.ReplyUsual},
			{name: "server error", status: 500, body: `{"error_type":"API_ERROR","error_code":"INTERNAL_SERVER_ERROR"}`, want: idem.ReplyUnknown},
		},
	}
}
