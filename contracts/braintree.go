package contracts

import (
	"time"

	"github.com/idem-go/idem"
)

// Braintree is the contract of Braintree's GraphQL API with its At-Most-Once
// Processing, which Braintree enables for a merchant: ask for it first. A merchant
// without it gets an error, and nothing happens.
//
//   - Key: the ApiRequestKey, at most 255 characters. It is not clientMutationId,
//     which only pairs a response with its request and prevents nothing
//     (github.com/braintree/graphql-api, schema.graphql). Retention: 30 days. An
//     identical request gives the current state of the first one.
//     Source: https://developer.paypal.com/braintree/graphql/integration_guides/idempotency;
//     the length: github.com/braintree/braintree_ruby,
//     spec/integration/braintree/transaction_idempotency_spec.rb.
//   - Not confirmed by Braintree's own schema: that a mutation takes the key as
//     apiRequestKey in its input; taken from public callers. The mutation must have
//     its input in the variable $input: change Field for another name.
//   - Codes: 915232 other bytes, 915233 in flight. 915234, the first request failed,
//     and 915235, a server error, do not say what happened: unknown.
//     Source: lib/braintree/error_codes.rb of the same repository.
//   - Error classes: VALIDATION and UNSUPPORTED_CLIENT are refusals;
//     AUTHENTICATION, AUTHORIZATION and RESOURCE_LIMIT pass. NOT_FOUND, INTERNAL,
//     SERVICE_AVAILABILITY and what is not listed are unknown.
//     Source: lib/braintree/util.rb of the same repository, for their meaning.
//
// A declined transaction is data, not an error: read its status.
func Braintree() idem.Contract {
	return idem.Contract{
		Name:      "braintree",
		Retention: 30 * 24 * time.Hour,
		Field:     "/variables/input/apiRequestKey",
		MaxKey:    255,
		Verdict:   graphQL(braintreeError, func(mutations) idem.Verdict { return idem.ReplyUsual }),
	}
}

func braintreeError(e graphQLError) idem.Verdict {
	switch e.Extensions.LegacyCode {
	case "915232":
		return idem.ReplyMismatch
	case "915233":
		return idem.ReplyInFlight
	case "915234", "915235":
		return idem.ReplyUnknown
	}
	switch e.Extensions.ErrorClass {
	case "VALIDATION", "UNSUPPORTED_CLIENT":
		return idem.ReplyRefused
	case "AUTHENTICATION", "AUTHORIZATION", "RESOURCE_LIMIT":
		return idem.ReplyLater
	}
	return idem.ReplyUnknown
}
