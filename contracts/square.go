package contracts

import "github.com/idem-go/idem"

// Square is the contract of Square's APIs: the key stands in the body, and the
// response to the first successful request is given again.
//
//   - Key: body field idempotency_key, at most 45 characters; some endpoints allow
//     more. Source: github.com/square/square-go-sdk, reference.md and payments.go.
//   - Stored: the first success. Other bytes: an error, with code
//     IDEMPOTENCY_KEY_REUSED; "this behavior might vary depending on the API".
//     Source: https://developer.squareup.com/docs/build-basics/common-api-patterns/idempotency,
//     and ErrorCodeIdempotencyKeyReused in types.go of the SDK.
//   - Retention: none stated. A Square engineer wrote "as far as I know they do not
//     expire", under a report of one key that ran twice
//     (https://github.com/square/connect-api-examples/issues/135). Taken as one hour.
//   - In flight: not confirmed; a 409 is left to the usual table.
//   - The code TEMPORARY_ERROR and the category API_ERROR blame Square's own side:
//     they are unknown whatever their status. Source:
//     https://developer.squareup.com/reference/square/enums/ErrorCategory.
//
// Bulk endpoints report errors of single items inside a 200: read the outcome.
func Square() idem.Contract {
	return idem.Contract{
		Name:      "square",
		Retention: unstated,
		Field:     "/idempotency_key",
		MaxKey:    45,
		Verdict: byCode(verdicts{
			"IDEMPOTENCY_KEY_REUSED": idem.ReplyMismatch,
			"TEMPORARY_ERROR":        idem.ReplyUnknown,
			"API_ERROR":              idem.ReplyUnknown,
		}, "errors/*/code", "errors/*/category"),
	}
}
