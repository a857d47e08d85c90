package contracts

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"strings"
	"time"

	"github.com/idem-go/idem"
)

// AWSClientToken is the contract of AWS operations that take a client token, for
// requests that the program builds itself and signs in Policy.Authorize. The AWS
// SDK signs before the transport sees the body: make such a call a tool, and give
// it the tool's key as its token.
//
//   - Key: ClientToken, at most 64 ASCII characters, for one region or zone; 36 in
//     DynamoDB. Other bytes: IdempotentParameterMismatch.
//     Source: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html.
//   - Retention differs, and EC2 states none: 10 minutes for DynamoDB's
//     TransactWriteItems, 8 hours for Verified Permissions and Directory Service
//     Data, 24 for others. The shortest is set. Source:
//     https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html.
//   - In flight: TransactionInProgressException of DynamoDB; not confirmed for others.
//   - ConflictException means other bytes in some services (Verified Permissions) and
//     a business conflict in others: unknown.
//   - Throttling comes with 400 in many services, and before anything was done; so
//     do credentials and signatures that have expired. Source:
//     https://docs.aws.amazon.com/mgn/latest/APIReference/CommonErrors.html, and
//     github.com/aws/aws-sdk-go-v2, aws/retry/standard.go, for the codes.
//
// The field's name differs from service to service, and stands in a form, in JSON
// or in the query. Here it is EC2's; for DynamoDB:
//
//	c := contracts.AWSClientToken()
//	c.Field, c.MaxKey = "/ClientRequestToken", 36
func AWSClientToken() idem.Contract {
	return idem.Contract{
		Name:      "aws client token",
		Retention: 10 * time.Minute,
		Field:     "/ClientToken",
		MaxKey:    64,
		Verdict: func(r *http.Response, body []byte) idem.Verdict {
			if r.StatusCode < http.StatusBadRequest {
				return idem.ReplyUsual
			}
			return awsCode(awsErrorCode(r, body))
		},
	}
}

func awsCode(code string) idem.Verdict {
	switch code {
	case "IdempotentParameterMismatch", "IdempotentParameterMismatchException", "IdempotentParameterMismatchError":
		return idem.ReplyMismatch
	case "TransactionInProgressException":
		return idem.ReplyInFlight
	case "ConflictException", "RequestTimeout", "RequestTimeoutException", "RequestAbortedException":
		return idem.ReplyUnknown
	case "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
		"EC2ThrottledException", "TooManyRequestsException", "ProvisionedThroughputExceededException",
		"RequestLimitExceeded", "BandwidthLimitExceeded", "LimitExceededException", "SlowDown", "PriorRequestNotComplete",
		"RequestExpired", "ExpiredToken", "ExpiredTokenException":
		return idem.ReplyLater
	}
	return idem.ReplyUsual
}

// awsErrorCode finds the code of an error where the protocols of AWS have it: a
// header, a member of JSON, or an element of XML.
func awsErrorCode(r *http.Response, body []byte) string {
	code := r.Header.Get("X-Amzn-Errortype")
	if code == "" {
		if found := texts(body, "__type", "code", "Code"); len(found) > 0 {
			code = found[0]
		} else {
			code = xmlCode(body)
		}
	}
	// As in "aws.example#FooError:http://internal/": a namespace and a URI around it.
	code, _, _ = strings.Cut(code, ":")
	if _, name, ok := strings.Cut(code, "#"); ok {
		code = name
	}
	return strings.TrimSpace(code)
}

// xmlCode is the text of the first Code element.
func xmlCode(body []byte) string {
	d := xml.NewDecoder(bytes.NewReader(body))
	for {
		token, err := d.Token()
		if err != nil {
			return ""
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "Code" {
			var code string
			if d.DecodeElement(&code, &start) != nil {
				return ""
			}
			return code
		}
	}
}
