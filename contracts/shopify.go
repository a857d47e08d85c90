package contracts

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/idem-go/idem"
)

// Shopify is the contract of the GraphQL Admin API for mutations that take the
// directive @idempotent, which from version 2026-04 some of them require. The key
// is a variable, and the mutation asks for the user errors with their codes, as in
// the example below.
//
//   - Key: here the variable idempotencyKey; mutations with an idempotencyKey in
//     their input need another Field. A UUID is recommended; not confirmed: a
//     greatest length. Source: https://shopify.dev/docs/api/usage/idempotent-requests.
//   - Retention: 24 hours from the original request. Stored: the answer of a
//     success, made anew from what the shop holds now.
//     Source: https://shopify.dev/docs/api/usage/implementing-idempotency.
//   - User errors, inside a 200: IDEMPOTENCY_CONCURRENT_REQUEST in flight,
//     IDEMPOTENCY_KEY_PARAMETER_MISMATCH other bytes. IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED
//     does not say how far that attempt came: unknown. Others are refusals, unless
//     some object came back beside them.
//     Source: https://shopify.dev/docs/api/admin-graphql/latest/enums/InventorySetQuantitiesUserErrorCode.
//   - Errors, inside a 200: THROTTLED and ACCESS_DENIED pass, MAX_COST_EXCEEDED is
//     a refusal; what is not listed is unknown, INTERNAL_SERVER_ERROR first of all.
//     Source: https://shopify.dev/docs/api/admin-graphql#status-and-error-codes.
//   - A document or variables that do not fit the schema are refused before
//     anything runs: INVALID_VARIABLE, and the codes of the library that Shopify
//     builds on. Source: github.com/rmosolgo/graphql-ruby,
//     lib/graphql/static_validation. Not confirmed by Shopify: those codes.
//
// A mutation under this contract:
//
//	mutation M($input: RefundInput!, $idempotencyKey: String!) {
//	  refundCreate(input: $input) @idempotent(key: $idempotencyKey) {
//	    refund { id } userErrors { code field message }
//	  }
//	}
func Shopify() idem.Contract {
	return idem.Contract{
		Name:      "shopify",
		Retention: 24 * time.Hour,
		Field:     "/variables/idempotencyKey",
		Verdict:   graphQL(shopifyError, shopifyData),
	}
}

func shopifyError(e graphQLError) idem.Verdict {
	switch e.Extensions.Code {
	case "THROTTLED", "ACCESS_DENIED":
		return idem.ReplyLater
	case "MAX_COST_EXCEEDED", "INVALID_VARIABLE",
		"argumentLiteralsIncompatible", "argumentNotAccepted", "argumentNotUnique",
		"fieldConflict", "inputFieldNotUnique", "invalidOneOfInputObject",
		"missingRequiredArguments", "missingRequiredInputObjectAttribute",
		"selectionMismatch", "undefinedDirective", "undefinedField", "undefinedType",
		"variableMismatch", "variableNotUnique", "variableRequiresValidType":
		return idem.ReplyRefused
	}
	return idem.ReplyUnknown
}

// shopifyData reads the user errors of every mutation in an answer.
func shopifyData(data mutations) idem.Verdict {
	var codes []string
	refused, something := false, false
	for _, raw := range data {
		var payload map[string]json.RawMessage
		if json.Unmarshal(raw, &payload) != nil {
			return idem.ReplyUnknown // no mutation's answer
		}
		for name, value := range payload {
			switch {
			case isUserErrors(name):
				var list []struct {
					Code string `json:"code"`
				}
				if json.Unmarshal(value, &list) != nil {
					return idem.ReplyUnknown
				}
				for _, e := range list {
					refused = true
					codes = append(codes, e.Code)
				}
			case name != "__typename" && name != "clientMutationId" && !isNull(value):
				something = true
			}
		}
	}
	switch {
	case slices.Contains(codes, "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"):
		return idem.ReplyMismatch
	case slices.Contains(codes, "IDEMPOTENCY_CONCURRENT_REQUEST"):
		return idem.ReplyInFlight
	case slices.Contains(codes, "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"), refused && something:
		return idem.ReplyUnknown
	case refused:
		return idem.ReplyRefused
	}
	return idem.ReplyUsual
}

// isUserErrors knows userErrors and its kin, such as customerUserErrors.
func isUserErrors(name string) bool {
	return name == "userErrors" || strings.HasSuffix(name, "UserErrors")
}
