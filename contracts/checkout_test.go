package contracts_test

import (
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
)

func checkout() profile {
	return profile{
		function: "Checkout", contract: contracts.Checkout,
		place: "header Cko-Idempotency-Key", retention: 24 * time.Hour, longest: 255,
		request: `{"source":{"type":"token","token":"tok_6qi7zfk7652udgy2thneaoxp7u"},"amount":1000,"currency":"USD"}`,
		rows: []row{
			{name: "accepted", status: 202, body: `{"id":"pay_mbabizu24mvu3mela5njyhpit4","status":"Pending"}`, want: idem.ReplyUsual},
			{name: "declined inside a success", status: 201, body: `{"id":"pay_mbabizu24mvu3mela5njyhpit4","approved":false,"status":"Declined"}`, want: idem.ReplyUsual},
			{name: "in flight", status: 409, body: ``, want: idem.ReplyInFlight},
			{name: "in flight, with an identity", status: 409, body: `{"request_id":"0HL80RJLS76I7"}`, want: idem.ReplyInFlight},
			{name: "a business conflict", status: 409, want: idem.ReplyUsual,
				body: `{"request_id":"0HL80RJLS76I7","error_type":"request_invalid","error_codes":["instrument_exists"]}`},
			{name: "refused", status: 422, want: idem.ReplyUsual,
				body: `{"request_id":"0HL80RJLS76I7","error_type":"request_invalid","error_codes":["payment_source_required"]}`},
			{name: "rate limit", status: 429, body: ``, want: idem.ReplyUsual},
			{name: "bad gateway", status: 502, body: ``, want: idem.ReplyUsual},
		},
	}
}
