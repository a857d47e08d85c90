package contracts_test

import (
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
)

func modernTreasury() profile {
	return profile{
		function: "ModernTreasury", contract: contracts.ModernTreasury,
		place: "header Idempotency-Key", retention: 24 * time.Hour, longest: 255,
		request: `{"type":"ach","amount":1000,"direction":"credit","originating_account_id":"c743edb7-4059-496a-94b8-06fc081156fd"}`,
		rows: []row{
			{name: "created", status: 201, body: `{"id":"c743edb7-4059-496a-94b8-06fc081156fd","object":"payment_order","status":"approved"}`, want: idem.ReplyUsual},
			{name: "in flight", status: 409, body: `{"errors":{"code":"conflict","message":"A request with this idempotency key is in progress"}}`, want: idem.ReplyInFlight},
			{name: "refused", status: 422, body: `{"errors":{"code":"parameter_invalid","message":"Amount must be positive","parameter":"amount"}}`, want: idem.ReplyUsual},
			{name: "rate limit", status: 429, body: ``, want: idem.ReplyUsual},
			{name: "server error", status: 504, body: ``, want: idem.ReplyUsual},
		},
	}
}
