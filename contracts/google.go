package contracts

import (
	"time"

	"github.com/idem-go/idem"
)

// Google is the contract of Google Cloud methods that take a request ID.
//
//   - Key: query parameter requestId (request_id in gRPC), a UUID that is not all
//     zeros. A request that has already been completed is ignored. Retention: at
//     least 60 minutes since the first one.
//     Source: github.com/googleapis/googleapis, google/cloud/alloydb/v1/service.proto
//     (CreateInstanceRequest.request_id); other APIs there word it the same.
//   - A duplicate should be given the first response, or the resource as it is now;
//     each API may choose its own time for honoring IDs, so read its reference.
//     Source: https://google.aip.dev/155.
//   - Not confirmed: the answers to other bytes and to a request still in flight.
//     409 is ALREADY_EXISTS (which can be one's own earlier success) or ABORTED, and
//     left to the usual table.
//
// A long-running operation is a success as soon as it is accepted: its error, if
// it has one, is part of the outcome.
//
// Where a method has the ID in its body, move it:
//
//	c := contracts.Google()
//	c.Query, c.Field = "", "/requestId"
func Google() idem.Contract {
	return idem.Contract{
		Name:      "google request_id",
		Retention: time.Hour,
		Query:     "requestId",
		MinKey:    36,
		MaxKey:    36,
		CheckKey:  anyUUID,
	}
}
