package contracts_test

import (
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
)

func adyen() profile {
	known := `{"status":422,"errorCode":"704","message":"request already processed or in progress","errorType":"validation"}`
	return profile{
		function: "Adyen", contract: contracts.Adyen,
		place: "header Idempotency-Key", retention: 7 * 24 * time.Hour, longest: 64,
		request: `{"amount":{"currency":"EUR","value":1000},"reference":"order-1","merchantAccount":"TestMerchant"}`,
		rows: []row{
			{name: "authorised", status: 200, header: [2]string{"Idempotency-Key", "echoed"}, want: idem.ReplyUsual,
				body: `{"pspReference":"993617895215577D","resultCode":"Authorised"}`},
			{name: "in flight, 422", status: 422, body: known, want: idem.ReplyInFlight},
			{name: "in flight, 409", status: 409, want: idem.ReplyInFlight,
				body: `{"status":409,"errorCode":"704","message":"request already processed or in progress","errorType":"validation"}`},
			{name: "in flight, come back", status: 422, header: [2]string{"Transient-Error", "true"}, body: known, want: idem.ReplyInFlight},
			{name: "known, do not come back", status: 422, header: [2]string{"Transient-Error", "false"}, body: known, want: idem.ReplyUnknown},
			{name: "a code that is a number", status: 422, body: `{"status":422,"errorCode":704}`, want: idem.ReplyInFlight},
			{name: "a passing error", status: 422, header: [2]string{"Transient-Error", "true"}, want: idem.ReplyUnknown,
				body: `{"status":422,"errorCode":"905","message":"Payment details are not supported","errorType":"configuration"}`},
			{name: "refused", status: 422, header: [2]string{"Transient-Error", "false"}, want: idem.ReplyUsual,
				body: `{"status":422,"errorCode":"14_0308","message":"Required field 'merchantAccount' is not provided.","errorType":"validation"}`},
			{name: "another conflict", status: 409, body: `{"status":409,"errorCode":"30_112","errorType":"validation"}`, want: idem.ReplyUsual},
			{name: "no key store", status: 503, body: `{"status":503,"errorCode":"703","message":"required resource temporarily unavailable"}`, want: idem.ReplyUsual},
		},
	}
}
