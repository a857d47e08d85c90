package contracts

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/idem-go/idem"
)

// Coinbase is the contract of the v2 APIs of the Coinbase Developer Platform.
//
//   - Key: header X-Idempotency-Key, a UUIDv4 and nothing else. Retention: 24 hours.
//     Stored: the exact response. Source: https://docs.cdp.coinbase.com/api-reference/v2/idempotency.
//   - Other bytes: 422 with errorType idempotency_error. In flight: errorType
//     already_exists with the message "Another request with the same idempotency
//     key is currently processing"; the same type stands for names that are taken,
//     and those are left to the usual table.
//     Source: github.com/coinbase/cdp-sdk, openapi.yaml, responses IdempotencyError
//     and AlreadyExistsError.
//   - Not confirmed: a mark on stored responses.
//
// net/http sends a POST with this header again by itself where it can; this
// library's transport never lets it.
func Coinbase() idem.Contract {
	return idem.Contract{
		Name:      "coinbase",
		Retention: 24 * time.Hour,
		Header:    "X-Idempotency-Key",
		MinKey:    36,
		MaxKey:    36,
		CheckKey:  randomUUID,
		Verdict: func(r *http.Response, body []byte) idem.Verdict {
			if r.StatusCode < http.StatusBadRequest {
				return idem.ReplyUsual
			}
			types := texts(body, "errorType")
			message := strings.ToLower(strings.Join(texts(body, "errorMessage"), " "))
			switch {
			case slices.Contains(types, "idempotency_error"):
				return idem.ReplyMismatch
			case slices.Contains(types, "already_exists") && strings.Contains(message, "same idempotency key"):
				return idem.ReplyInFlight
			}
			return idem.ReplyUsual
		},
	}
}
