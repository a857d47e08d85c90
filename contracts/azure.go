package contracts

import (
	"net/http"
	"strings"
	"time"

	"github.com/idem-go/idem"
)

// AzureRepeatability is the contract of Azure services that follow the OASIS
// standard Repeatable Requests 1.0, such as Communication Services. Every attempt
// repeats the time of the first one. A PUT, PATCH or DELETE of these APIs is
// [idem.Natural].
//
//   - Key: header Repeatability-Request-ID, a GUID, with Repeatability-First-Sent.
//     Retention: 5 minutes at least. Source:
//     https://github.com/microsoft/api-guidelines/blob/vNext/azure/Guidelines.md#repeatability-of-requests.
//   - The reply header Repeatability-Result says rejected where the service would
//     not execute: 400 for other bytes under a known GUID (or for a malformed one,
//     which this library does not send), 412 for a first attempt too long ago.
//     accepted with 409: the first attempt is in flight. Stored: 2xx and 4xx; after
//     a 5xx the request is executed again. Source:
//     https://learn.microsoft.com/rest/api/communication/repeatable-requests and
//     https://docs.oasis-open.org/odata/repeatable-requests/v1.0/repeatable-requests-v1.0.html.
//   - Not confirmed: what a 409 of the operation itself looks like; it is asked for
//     again under the key and ends in doubt. A 501, which the guidelines want for
//     an operation without these headers, is left to the usual table: unknown.
//
// accepted says that the headers were understood, not that the reply was stored.
// A clock that runs 5 minutes wrong gets a 412 for everything.
func AzureRepeatability() idem.Contract {
	return idem.Contract{
		Name:      "azure repeatability",
		Retention: 5 * time.Minute,
		Header:    "Repeatability-Request-ID",
		FirstSent: "Repeatability-First-Sent",
		MinKey:    36,
		MaxKey:    36,
		CheckKey:  anyUUID,
		Verdict:   azureVerdict,
	}
}

func azureVerdict(r *http.Response, _ []byte) idem.Verdict {
	result := strings.ToLower(r.Header.Get("Repeatability-Result"))
	switch {
	case result == "accepted" && r.StatusCode == http.StatusConflict:
		return idem.ReplyInFlight
	case result == "rejected" && r.StatusCode == http.StatusBadRequest:
		return idem.ReplyMismatch
	case result == "rejected" && r.StatusCode == http.StatusPreconditionFailed:
		return idem.ReplyRefused
	}
	return idem.ReplyUsual
}
