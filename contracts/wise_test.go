package contracts_test

import (
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
)

func wise() profile {
	return profile{
		function: "Wise", contract: contracts.Wise,
		place: "field /customerTransactionId", retention: time.Hour, longest: 36,
		request: `{"targetAccount":8692237,"quoteUuid":"8fa9be20-ba43-4b15-abbb-9424e1481050","details":{"reference":"to my friend"}}`,
		good:    []string{"8fa9be20-ba43-4b15-abbb-9424e1481050", "f47ac10b-58cc-1372-8567-0e02b2c3d479"},
		bad:     []string{"order-1234", "8fa9be20ba434b15abbb9424e1481050", "00000000-0000-0000-0000-000000000000"},
		rows: []row{
			{name: "created", status: 200, body: `{"id":16521632,"status":"incoming_payment_waiting","customerTransactionId":"8fa9be20-ba43-4b15-abbb-9424e1481050"}`, want: idem.ReplyUsual},
			{name: "refused", status: 422, body: `{"errors":[{"code":"NOT_VALID","message":"Quote not found","path":"quoteUuid"}]}`, want: idem.ReplyUsual},
			{name: "a conflict", status: 409, body: `{"errors":[{"code":"conflict"}]}`, want: idem.ReplyUsual},
			{name: "server error", status: 500, body: `{"status":500,"error":"Internal Server Error"}`, want: idem.ReplyUsual},
		},
	}
}
