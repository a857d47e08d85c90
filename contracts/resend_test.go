package contracts_test

import (
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
)

func resend() profile {
	return profile{
		function: "Resend", contract: contracts.Resend,
		place: "header Idempotency-Key", retention: 24 * time.Hour, longest: 256,
		request: `{"from":"Acme <onboarding@resend.dev>","to":["delivered@resend.dev"],"subject":"hello world","html":"<p>it works!</p>"}`,
		rows: []row{
			{name: "sent", status: 200, body: `{"id":"49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"}`, want: idem.ReplyUsual},
			{name: "other bytes", status: 409, want: idem.ReplyMismatch,
				body: `{"statusCode":409,"name":"invalid_idempotent_request","message":"This idempotency key has already been used on a request that had a different payload."}`},
			{name: "in flight", status: 409, want: idem.ReplyInFlight,
				body: `{"statusCode":409,"name":"concurrent_idempotent_requests","message":"Another request with the same idempotency key is currently in progress."}`},
			{name: "another conflict", status: 409, body: `{"statusCode":409,"name":"resource_conflict","message":"It is there already."}`, want: idem.ReplyUsual},
			{name: "a bad key", status: 400, body: `{"statusCode":400,"name":"invalid_idempotency_key"}`, want: idem.ReplyUsual},
			{name: "refused", status: 422, body: `{"statusCode":422,"name":"validation_error","message":"Invalid from field."}`, want: idem.ReplyUsual},
			{name: "rate limit", status: 429, body: `{"statusCode":429,"name":"rate_limit_exceeded"}`, want: idem.ReplyUsual},
			{name: "server error", status: 500, body: `{"statusCode":500,"name":"application_error"}`, want: idem.ReplyUsual},
		},
	}
}
