package contracts_test

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
)

// A contract of one's own states what differs, and leaves the rest to the usual
// table.
func Example_ownContract() {
	ticketing := idem.Contract{
		Name:      "ticketing",
		Retention: 12 * time.Hour,
		Header:    "X-Request-Token",
		MaxKey:    64,
		Verdict: func(r *http.Response, body []byte) idem.Verdict {
			if r.StatusCode == http.StatusConflict && bytes.Contains(body, []byte("still running")) {
				return idem.ReplyInFlight
			}
			return idem.ReplyUsual
		},
	}
	policy := idem.WithPolicy("create_ticket", idem.Policy{Contract: ticketing})
	_ = policy // for idem.Open

	conflict := &http.Response{StatusCode: http.StatusConflict}
	fmt.Println(ticketing.Verdict(conflict, []byte(`{"error":"still running"}`)))
	fmt.Println(ticketing.Verdict(conflict, []byte(`{"error":"the seat is taken"}`)))
	// Output:
	// in flight
	// usual
}

// A profile is changed by changing a field of the value.
func Example_changedProfile() {
	c := contracts.PayPal()
	c.Retention = 45 * 24 * time.Hour // captures of the v2 Payments API

	fmt.Println(c.Name, c.Header, c.Retention, contracts.PayPal().Retention)
	// Output: paypal PayPal-Request-Id 1080h0m0s 3h0m0s
}

// One exception on top of a profile: what it does not cover goes to the profile.
func Example_exception() {
	c := contracts.Increase()
	profile := c.Verdict
	c.Verdict = func(r *http.Response, body []byte) idem.Verdict {
		if r.Header.Get("X-Our-Gateway") == "blocked" { // our own proxy: it never got out
			return idem.ReplyRefused
		}
		return profile(r, body)
	}

	blocked := &http.Response{StatusCode: 403, Header: http.Header{"X-Our-Gateway": {"blocked"}}}
	known := &http.Response{StatusCode: 409}
	fmt.Println(c.Verdict(blocked, nil))
	fmt.Println(c.Verdict(known, []byte(`{"type":"idempotency_key_already_used_error"}`)))
	// Output:
	// refused
	// mismatch
}
