package contracts_test

import (
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
)

func increase() profile {
	return profile{
		function: "Increase", contract: contracts.Increase,
		place: "header Idempotency-Key", retention: time.Hour, longest: 200,
		request: `{"account_id":"account_in71c4amph0vgo2qllky","amount":100,"statement_descriptor":"New ACH transfer"}`,
		rows: []row{
			{name: "created", status: 200, body: `{"id":"ach_transfer_uoxatyh3lt5evrsdvo7q","type":"ach_transfer","idempotency_key":"x"}`, want: idem.ReplyUsual},
			{name: "created before", status: 200, header: [2]string{"Idempotent-Replayed", "true"}, body: `{"id":"ach_transfer_uoxatyh3lt5evrsdvo7q","type":"ach_transfer"}`, want: idem.ReplyUsual},
			{name: "other bytes", status: 409, want: idem.ReplyMismatch,
				body: `{"type":"idempotency_key_already_used_error","title":"The idempotency key was already used for another object.","detail":null,"status":409,"resource_id":"ach_transfer_uoxatyh3lt5evrsdvo7q"}`},
			{name: "a business conflict", status: 409, body: `{"type":"invalid_operation_error","title":"The transfer cannot be canceled.","status":409}`, want: idem.ReplyUsual},
			{name: "refused", status: 400, body: `{"type":"invalid_parameters_error","title":"There was an issue with your request parameters.","status":400,"errors":[]}`, want: idem.ReplyUsual},
			{name: "rate limit", status: 429, body: `{"type":"rate_limited_error","status":429,"retry_after":0}`, want: idem.ReplyUsual},
			{name: "server error", status: 500, body: `{"type":"internal_server_error","status":500}`, want: idem.ReplyUsual},
		},
	}
}
