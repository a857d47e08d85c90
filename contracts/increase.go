package contracts

import "github.com/idem-go/idem"

// Increase is the contract of Increase's API. POST takes keys.
//
//   - Key: header Idempotency-Key, at most 200 characters. At most one object is
//     created per key. Stored: the object, marked Idempotent-Replayed: true.
//     Other bytes: 409 with type idempotency_key_already_used_error, and the
//     resource_id of the object there is.
//     Source: https://increase.com/documentation/idempotency-keys, and
//     github.com/Increase/increase-go, internal/apierror/apierror.go.
//   - Retention: none stated. Objects can be listed by their key, which suggests
//     that it lives as long as they do; not confirmed, taken as one hour. That list
//     is what Policy.Reconcile asks.
//   - In flight: not confirmed; other 409s are left to the usual table.
func Increase() idem.Contract {
	return idem.Contract{
		Name:      "increase",
		Retention: unstated,
		Header:    "Idempotency-Key",
		MaxKey:    200,
		Replayed:  "Idempotent-Replayed",
		Verdict: byCode(verdicts{
			"idempotency_key_already_used_error": idem.ReplyMismatch,
		}, "type"),
	}
}
