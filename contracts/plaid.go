package contracts

import (
	"time"

	"github.com/idem-go/idem"
)

// Plaid is the contract of Plaid's endpoints that move money: transfer
// authorizations, refunds, recurring transfers, ledger deposits and withdrawals,
// wallet transactions, consent payments.
//
//   - Key: body field idempotency_key, at most 50 characters (128 for wallets and
//     consent payments). Retention differs: 24 hours for wallet transactions, 48
//     for transfer authorizations and consent payments, none stated for the rest.
//     The shortest of those stated is set.
//     Source: github.com/plaid/plaid-openapi, 2020-09-14.yml, schemas
//     …IdempotencyKey.
//   - Stored: successes. An authorization that ends as user_action_required is not
//     kept: the same key authorizes anew. Source: the same file.
//   - Other bytes: bank transfers take amount, account, type and network into the
//     identity, so that the key with other values is another transfer and no error.
//     Source: https://plaid.com/docs/bank-transfers/idempotency-and-retries/.
//   - Not confirmed: an error code for other bytes or for a request in flight.
//   - The error types API_ERROR and INSTITUTION_ERROR blame Plaid's or the bank's
//     own side: unknown whatever their status. Source: https://plaid.com/docs/errors/.
//
// /transfer/create has its authorization_id for a key, and may create a transfer
// even where it answers 500. A wallet transaction may be retried after a minute
// only: set Retry.MinBackoff.
func Plaid() idem.Contract {
	return idem.Contract{
		Name:      "plaid",
		Retention: 24 * time.Hour,
		Field:     "/idempotency_key",
		MaxKey:    50,
		Verdict: byCode(verdicts{
			"API_ERROR":           idem.ReplyUnknown,
			"INSTITUTION_ERROR":   idem.ReplyUnknown,
			"RATE_LIMIT_EXCEEDED": idem.ReplyLater,
		}, "error_type"),
	}
}
