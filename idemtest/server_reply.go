package idemtest

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// reply is what the server means to answer. Faults spoil it on its way out.
type reply struct {
	status int
	header http.Header
	body   []byte
	did    Did
	effect string // the effect behind it
	note   string
	none   bool // nothing is to be sent: the server closes, or its store failed
}

func jsonReply(status int, body []byte) *reply {
	return &reply{status: status, header: http.Header{"Content-Type": {"application/json"}}, body: body, did: DidRefuse}
}

// apiError is Stripe's error object (https://docs.stripe.com/api/errors).
func apiError(status int, typ, param, code, message string) *reply {
	type inner struct {
		Type    string `json:"type"`
		Param   string `json:"param,omitempty"`
		Code    string `json:"code,omitempty"`
		Message string `json:"message"`
	}
	body, _ := json.Marshal(map[string]inner{"error": {typ, param, code, message}}) // strings always marshal
	r := jsonReply(status, body)
	// Stripe's clients obey this header before they look at the status
	// (stripe-go, stripe-node: shouldRetry). A refusal says false, a lock or a
	// rate limit true; 5xx replies leave it to the client.
	switch {
	case status == 409 || status == 429:
		r.header.Set("Stripe-Should-Retry", "true")
	case status < 500:
		r.header.Set("Stripe-Should-Retry", "false")
	}
	return r
}

// inUse is worded as in replies recorded from Stripe
// (https://github.com/stripe/stripe-go/issues/647).
func inUse(key string) *reply {
	r := apiError(409, "invalid_request_error", "", "idempotency_key_in_use",
		"There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and the other request is still going through): "+key+". Please try again later.")
	r.did = DidWait
	return r
}

// mismatch is worded as in replies recorded from Stripe
// (https://github.com/stripe/stripe-ruby/issues/503).
func mismatch(key string) *reply {
	r := apiError(400, "idempotency_error", "", "",
		"Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '"+key+"' if you meant to execute a different request.")
	r.did = DidDiffer
	return r
}

func serverError() *reply {
	return apiError(500, "api_error", "", "", "An unknown error occurred.")
}

func htmlPage(status int, title string) *reply {
	body := fmt.Sprintf("<!DOCTYPE html>\n<html><head><title>%s</title></head>\n<body><center><h1>%s</h1></center></body></html>\n", title, title)
	return &reply{status: status, header: http.Header{"Content-Type": {"text/html; charset=utf-8"}}, body: []byte(body)}
}
