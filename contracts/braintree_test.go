package contracts_test

import (
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
)

func braintree() profile {
	failed := func(extensions string) string {
		return `{"data":{"chargePaymentMethod":null},"errors":[{"message":"It did not work.","locations":[{"line":2,"column":3}],"path":["chargePaymentMethod"],"extensions":` +
			extensions + `}],"extensions":{"requestId":"b3f7ad2e-3c0c-4a53-8b1d-9c7d4b0e1f55"}}`
	}
	return profile{
		function: "Braintree", contract: contracts.Braintree,
		place: "field /variables/input/apiRequestKey", retention: 30 * 24 * time.Hour, longest: 255,
		request: `{"query":"mutation C($input: ChargePaymentMethodInput!) { chargePaymentMethod(input: $input) { transaction { id status } } }","variables":{"input":{"paymentMethodId":"pm1","transaction":{"amount":"10.00"}}}}`,
		rows: []row{
			{name: "charged", status: 200, want: idem.ReplyUsual,
				body: `{"data":{"chargePaymentMethod":{"transaction":{"id":"dHJhbnNhY3Rpb25fMQ","status":"SUBMITTED_FOR_SETTLEMENT"}}},"extensions":{"requestId":"x"}}`},
			{name: "declined inside a success", status: 200, want: idem.ReplyUsual,
				body: `{"data":{"chargePaymentMethod":{"transaction":{"id":"dHJhbnNhY3Rpb25fMQ","status":"PROCESSOR_DECLINED"}}}}`},
			{name: "other bytes", status: 200, body: failed(`{"errorClass":"VALIDATION","legacyCode":"915232"}`), want: idem.ReplyMismatch},
			{name: "in flight", status: 200, body: failed(`{"errorClass":"VALIDATION","legacyCode":"915233"}`), want: idem.ReplyInFlight},
			{name: "the first attempt failed", status: 200, body: failed(`{"errorClass":"VALIDATION","legacyCode":"915234"}`), want: idem.ReplyUnknown},
			{name: "key store in trouble", status: 200, body: failed(`{"errorClass":"VALIDATION","legacyCode":"915235"}`), want: idem.ReplyUnknown},
			{name: "refused", status: 200, body: failed(`{"errorClass":"VALIDATION","errorType":"user_error","legacyCode":"91506"}`), want: idem.ReplyRefused},
			{name: "refused twice over", status: 200, want: idem.ReplyRefused,
				body: `{"data":null,"errors":[{"extensions":{"errorClass":"VALIDATION","legacyCode":"81502"}},{"extensions":{"errorClass":"VALIDATION","legacyCode":"81503"}}]}`},
			{name: "errors that do not agree", status: 200, want: idem.ReplyUnknown,
				body: `{"data":null,"errors":[{"extensions":{"errorClass":"VALIDATION"}},{"extensions":{"errorClass":"INTERNAL"}}]}`},
			{name: "rate limit", status: 200, body: failed(`{"errorClass":"RESOURCE_LIMIT"}`), want: idem.ReplyLater},
			{name: "credentials", status: 200, body: failed(`{"errorClass":"AUTHENTICATION"}`), want: idem.ReplyLater},
			{name: "internal", status: 200, body: failed(`{"errorClass":"INTERNAL"}`), want: idem.ReplyUnknown},
			{name: "unavailable", status: 200, body: failed(`{"errorClass":"SERVICE_AVAILABILITY"}`), want: idem.ReplyUnknown},
			{name: "an error of no class", status: 200, body: failed(`{}`), want: idem.ReplyUnknown},
			// The charge ran, and one field of its answer could not be had.
			{name: "partial data", status: 200, want: idem.ReplyUnknown,
				body: `{"data":{"chargePaymentMethod":{"transaction":{"id":"dHJhbnNhY3Rpb25fMQ","customer":null}}},"errors":[{"path":["chargePaymentMethod","transaction","customer"],"extensions":{"errorClass":"AUTHORIZATION"}}]}`},
			{name: "a null that rose from below", status: 200, want: idem.ReplyUnknown,
				body: `{"data":{"chargePaymentMethod":null},"errors":[{"path":["chargePaymentMethod","transaction","status"],"extensions":{"errorClass":"AUTHORIZATION"}}]}`},
			{name: "a proxy's page", status: 200, body: `<html>sign in</html>`, want: idem.ReplyUnknown},
			{name: "gateway", status: 504, body: ``, want: idem.ReplyUsual},
		},
	}
}
