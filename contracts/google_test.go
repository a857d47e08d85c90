package contracts_test

import (
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
)

func google() profile {
	return profile{
		function: "Google", contract: contracts.Google,
		place: "query requestId", retention: time.Hour, longest: 36,
		request: `{"displayName":"my instance"}`,
		good:    []string{"8e03978e-40d5-43e8-bc93-6894a57f9324", "f47ac10b-58cc-1372-8567-0e02b2c3d479"},
		bad:     []string{"order-1234", "00000000-0000-0000-0000-000000000000"},
		rows: []row{
			{name: "accepted", status: 200, body: `{"name":"projects/p/locations/l/operations/operation-1","done":false}`, want: idem.ReplyUsual},
			{name: "it is there already", status: 409, want: idem.ReplyUsual,
				body: `{"error":{"code":409,"message":"Resource 'projects/p/locations/l/clusters/c' already exists","status":"ALREADY_EXISTS"}}`},
			{name: "aborted", status: 409, body: `{"error":{"code":409,"status":"ABORTED"}}`, want: idem.ReplyUsual},
			{name: "refused", status: 400, body: `{"error":{"code":400,"status":"INVALID_ARGUMENT"}}`, want: idem.ReplyUsual},
			{name: "rate limit", status: 429, body: `{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}`, want: idem.ReplyUsual},
			{name: "unavailable", status: 503, body: `{"error":{"code":503,"status":"UNAVAILABLE"}}`, want: idem.ReplyUsual},
		},
	}
}
