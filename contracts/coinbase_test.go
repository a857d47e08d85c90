package contracts_test

import (
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
)

func coinbase() profile {
	return profile{
		function: "Coinbase", contract: contracts.Coinbase,
		place: "header X-Idempotency-Key", retention: 24 * time.Hour, longest: 36,
		request: `{"name":"my-account"}`,
		good:    []string{"8e03978e-40d5-43e8-bc93-6894a57f9324"},
		bad: []string{"order-1234", "f47ac10b-58cc-1372-8567-0e02b2c3d479" /* version 1 */, "8e03978e40d543e8bc936894a57f9324",
			"00000000-0000-0000-0000-000000000000", "{8e03978e-40d5-43e8-bc93-6894a57f932}"},
		rows: []row{
			{name: "created", status: 201, body: `{"address":"0x742d35Cc6634C0532925a3b844Bc454e4438f44e"}`, want: idem.ReplyUsual},
			{name: "other bytes", status: 422, want: idem.ReplyMismatch,
				body: `{"errorType":"idempotency_error","errorMessage":"Idempotency key '8e03978e-40d5-43e8-bc93-6894a57f9324' was already used with a different request payload. Please try again with a new idempotency key."}`},
			{name: "in flight", status: 409, want: idem.ReplyInFlight,
				body: `{"errorType":"already_exists","errorMessage":"Another request with the same idempotency key is currently processing."}`},
			// The same code, another meaning: a name that is taken, perhaps by an attempt
			// of this very intent.
			{name: "a business conflict", status: 409, want: idem.ReplyUsual,
				body: `{"errorType":"already_exists","errorMessage":"EVM account with the given name already exists.","correlationId":"41deb8d59a9dc9a7-IAD"}`},
			{name: "refused", status: 422, body: `{"errorType":"invalid_request","errorMessage":"Invalid name."}`, want: idem.ReplyUsual},
			{name: "rate limit", status: 429, body: `{"errorType":"rate_limit_exceeded","errorMessage":"Rate limit exceeded."}`, want: idem.ReplyUsual},
			{name: "bad gateway", status: 502, body: `{"errorType":"bad_gateway"}`, want: idem.ReplyUsual},
		},
	}
}
