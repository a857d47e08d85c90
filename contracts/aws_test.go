package contracts_test

import (
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
)

func aws() profile {
	xml := func(code string) string {
		return `<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>` + code + `</Code><Message>It did not work.</Message></Error></Errors><RequestID>ea966190-f9aa-478e-9ede-example</RequestID></Response>`
	}
	return profile{
		function: "AWSClientToken", contract: contracts.AWSClientToken,
		place: "field /ClientToken", retention: 10 * time.Minute, longest: 64,
		request: "Action=RunInstances&ImageId=ami-1&MinCount=1&MaxCount=1", form: true,
		rows: []row{
			{name: "started", status: 200, body: `<RunInstancesResponse><requestId>59dbff89</requestId></RunInstancesResponse>`, want: idem.ReplyUsual},
			{name: "other bytes, XML", status: 400, body: xml("IdempotentParameterMismatch"), want: idem.ReplyMismatch},
			{name: "other bytes, JSON", status: 400, want: idem.ReplyMismatch,
				body: `{"__type":"com.amazonaws.dynamodb.v20120810#IdempotentParameterMismatchException","Message":"x"}`},
			{name: "other bytes, a header", status: 400, header: [2]string{"X-Amzn-Errortype", "IdempotentParameterMismatchException:http://internal.amazon.com/coral/"},
				body: `{"message":"x"}`, want: idem.ReplyMismatch},
			{name: "in flight", status: 400, want: idem.ReplyInFlight,
				body: `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionInProgressException","Message":"The transaction with the given request token is already in progress."}`},
			{name: "a conflict of either kind", status: 409, body: `{"__type":"ConflictException","message":"x"}`, want: idem.ReplyUnknown},
			{name: "a conflict of either kind, 400", status: 400, body: `{"code":"ConflictException"}`, want: idem.ReplyUnknown},
			{name: "a conflict not known", status: 409, body: `{"code":"ResourceInUse"}`, want: idem.ReplyUsual},
			{name: "rate limit, 400", status: 400, body: `{"__type":"ThrottlingException","message":"Rate exceeded"}`, want: idem.ReplyLater},
			{name: "rate limit, 503", status: 503, body: xml("RequestLimitExceeded"), want: idem.ReplyLater},
			{name: "a signature too old", status: 400, body: `<ErrorResponse><Error><Type>Sender</Type><Code>RequestExpired</Code></Error></ErrorResponse>`, want: idem.ReplyLater},
			{name: "refused", status: 400, body: xml("InvalidAMIID.NotFound"), want: idem.ReplyUsual},
			{name: "timed out on the way in", status: 400, body: xml("RequestTimeout"), want: idem.ReplyUnknown},
			{name: "server error", status: 500, body: xml("InternalError"), want: idem.ReplyUsual},
		},
	}
}
