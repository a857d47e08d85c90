package contracts_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
)

func azure() profile {
	accepted, rejected := [2]string{"Repeatability-Result", "accepted"}, [2]string{"Repeatability-Result", "rejected"}
	return profile{
		function: "AzureRepeatability", contract: contracts.AzureRepeatability,
		place: "header Repeatability-Request-ID", retention: 5 * time.Minute, longest: 36,
		request: `{"validFrom":"2026-11-23T00:00:00Z","participants":{}}`,
		good:    []string{"8e03978e-40d5-43e8-bc93-6894a57f9324"},
		bad:     []string{"order-1234", "8e03978e40d543e8bc936894a57f9324", "00000000-0000-0000-0000-000000000000"},
		rows: []row{
			{name: "created", status: 201, header: accepted, body: `{"id":"99199690362660524"}`, want: idem.ReplyUsual},
			{name: "in flight", status: 409, header: accepted, body: `{"error":{"code":"Conflict"}}`, want: idem.ReplyInFlight},
			{name: "a conflict of a service that knows no such headers", status: 409, body: `{"error":{"code":"Conflict"}}`, want: idem.ReplyUsual},
			{name: "other bytes", status: 400, header: rejected, body: `{"error":{"code":"BadRequest"}}`, want: idem.ReplyMismatch},
			{name: "refused", status: 400, header: accepted, body: `{"error":{"code":"BadRequest","message":"Invalid participant."}}`, want: idem.ReplyUsual},
			{name: "too long ago", status: 412, header: rejected, body: `{"error":{"code":"PreconditionFailed"}}`, want: idem.ReplyRefused},
			{name: "a precondition of one's own", status: 412, header: accepted, body: `{"error":{"code":"PreconditionFailed"}}`, want: idem.ReplyUsual},
			{name: "not supported here", status: 501, body: ``, want: idem.ReplyUsual},
			{name: "server error", status: 500, header: accepted, body: `{"error":{"code":"InternalServerError"}}`, want: idem.ReplyUsual},
		},
	}
}

// The time of the first attempt goes along with the key.
func TestAzureFirstSent(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Repeatability-First-Sent", contracts.AzureRepeatability().FirstSent)
}
