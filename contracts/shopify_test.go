package contracts_test

import (
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
)

func shopify() profile {
	userError := func(code string) string {
		return `{"data":{"refundCreate":{"refund":null,"userErrors":[{"code":"` + code + `","field":["input"],"message":"It did not work."}]}},"extensions":{"cost":{"requestedQueryCost":10}}}`
	}
	failed := func(code string) string {
		return `{"errors":[{"message":"It did not work.","extensions":{"code":"` + code + `"}}]}`
	}
	return profile{
		function: "Shopify", contract: contracts.Shopify,
		place: "field /variables/idempotencyKey", retention: 24 * time.Hour, longest: 255,
		request: `{"query":"mutation M($input: RefundInput!, $idempotencyKey: String!) { refundCreate(input: $input) @idempotent(key: $idempotencyKey) { refund { id } userErrors { code } } }","variables":{"input":{"orderId":"gid://shopify/Order/1"}}}`,
		rows: []row{
			{name: "refunded", status: 200, want: idem.ReplyUsual,
				body: `{"data":{"refundCreate":{"refund":{"id":"gid://shopify/Refund/1"},"userErrors":[]}}}`},
			{name: "in flight", status: 200, body: userError("IDEMPOTENCY_CONCURRENT_REQUEST"), want: idem.ReplyInFlight},
			{name: "other bytes", status: 200, body: userError("IDEMPOTENCY_KEY_PARAMETER_MISMATCH"), want: idem.ReplyMismatch},
			{name: "the first attempt failed", status: 200, body: userError("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"), want: idem.ReplyUnknown},
			{name: "refused", status: 200, body: userError("INVALID_QUANTITY"), want: idem.ReplyRefused},
			{name: "refused, of a family of its own", status: 200, want: idem.ReplyRefused,
				body: `{"data":{"customerCreate":{"customer":null,"__typename":"X","customerUserErrors":[{"code":"TAKEN"}]}}}`},
			{name: "user errors beside an object", status: 200, want: idem.ReplyUnknown,
				body: `{"data":{"refundCreate":{"refund":{"id":"gid://shopify/Refund/1"},"userErrors":[{"code":"INVALID"}]}}}`},
			{name: "one mutation of two", status: 200, want: idem.ReplyUnknown,
				body: `{"data":{"a":{"refund":{"id":"gid://shopify/Refund/1"},"userErrors":[]},"b":{"refund":null,"userErrors":[{"code":"INVALID"}]}}}`},
			{name: "throttled", status: 200, want: idem.ReplyLater,
				body: `{"errors":[{"message":"Throttled","extensions":{"code":"THROTTLED","documentation":"https://shopify.dev/api/usage/rate-limits"}}],"extensions":{"cost":{"requestedQueryCost":752,"actualQueryCost":null}}}`},
			{name: "no access to the mutation", status: 200, want: idem.ReplyLater,
				body: `{"data":{"refundCreate":null},"errors":[{"message":"Access denied for refundCreate field.","path":["refundCreate"],"extensions":{"code":"ACCESS_DENIED"}}]}`},
			{name: "no access to a field of the answer", status: 200, want: idem.ReplyUnknown,
				body: `{"data":{"refundCreate":null},"errors":[{"path":["refundCreate","order","customer"],"extensions":{"code":"ACCESS_DENIED"}}]}`},
			{name: "too costly", status: 200, body: failed("MAX_COST_EXCEEDED"), want: idem.ReplyRefused},
			{name: "a variable that does not fit", status: 200, want: idem.ReplyRefused,
				body: `{"errors":[{"message":"Variable $id of type ID! was provided invalid value","locations":[{"line":1,"column":24}],"extensions":{"code":"INVALID_VARIABLE","value":"x","problems":[{"path":[],"explanation":"Invalid global id 'x'"}]}}]}`},
			{name: "a document that does not fit", status: 200, want: idem.ReplyRefused,
				body: `{"errors":[{"message":"Field 'refnd' doesn't exist on type 'RefundCreatePayload'","path":["mutation M","refundCreate","refnd"],"extensions":{"code":"undefinedField","typeName":"RefundCreatePayload","fieldName":"refnd"}}]}`},
			{name: "internal", status: 200, body: failed("INTERNAL_SERVER_ERROR"), want: idem.ReplyUnknown},
			{name: "a code not known", status: 200, body: failed("SOMETHING_NEW"), want: idem.ReplyUnknown},
			{name: "nothing at all", status: 200, body: `{"data":{"refundCreate":null}}`, want: idem.ReplyUnknown},
			{name: "no mutation's answer", status: 200, body: `{"data":{"refundCreate":7}}`, want: idem.ReplyUnknown},
			{name: "user errors of no known form", status: 200, body: `{"data":{"refundCreate":{"refund":null,"userErrors":"x"}}}`, want: idem.ReplyUnknown},
			{name: "a frozen shop", status: 402, body: `{"errors":"Unavailable Shop"}`, want: idem.ReplyUsual},
			{name: "bad gateway", status: 502, body: ``, want: idem.ReplyUsual},
		},
	}
}
