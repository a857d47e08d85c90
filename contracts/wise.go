package contracts

import "github.com/idem-go/idem"

// Wise is the contract of transfers of the Wise Platform API.
//
//   - Key: body field customerTransactionId, a UUID. A retry with the same value is
//     taken for the same transfer.
//     Source: https://docs.wise.com/guides/product/send-money/standard-api-transfers,
//     "Avoiding duplicate transfers".
//   - Retention: none stated, only "you should not retry indefinitely". Taken as one
//     hour.
//   - Not confirmed: the answers to other bytes under a known key and to a request
//     still in flight. All replies are left to the usual table.
//
// Creating a transfer moves no money: its funding is an operation of its own.
// Balance movements and new balances have the key in a header instead (not
// confirmed by Wise's reference, taken from public callers):
//
//	c := contracts.Wise()
//	c.Field, c.Header = "", "X-idempotence-uuid"
func Wise() idem.Contract {
	return idem.Contract{
		Name:      "wise",
		Retention: unstated,
		Field:     "/customerTransactionId",
		MinKey:    36,
		MaxKey:    36,
		CheckKey:  anyUUID,
	}
}
