package contracts_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
)

// everyContract is every profile of this package, and those of the root.
func everyContract() []idem.Contract {
	all := []idem.Contract{{Name: "none"}, idem.Stripe(), idem.Standard(), idem.IETF(), idem.Natural()}
	for _, p := range profiles() {
		all = append(all, p.contract())
	}
	return all
}

// graphQL tells of the contracts whose replies are 200 whatever happened.
func graphQL(c idem.Contract) bool { return c.Name == "shopify" || c.Name == "braintree" }

// No reply, whatever is in it, makes a contract panic, or claim more than it can
// know: that nothing happened, of a success or of a page that a proxy made; that it
// happened, of an error. The same reply means the same twice, and is not changed.
func FuzzVerdicts(f *testing.F) {
	for i, c := range everyContract() {
		f.Add(uint8(i), uint16(200), "application/json", c.Replayed, "true", []byte(`{}`))
		f.Add(uint8(i), uint16(409), "application/json", "Idem-Status", "mismatch", []byte(`{"error":{"code":"idempotency_key_in_use"}}`))
		f.Add(uint8(i), uint16(502), "text/html", "Retry-After", "1", []byte(`<html><h1>Bad Gateway</h1></html>`))
	}
	for i, p := range profiles() {
		for _, r := range p.rows {
			f.Add(uint8(5+i), uint16(r.status), r.response().Header.Get("Content-Type"), r.header[0], r.header[1], []byte(r.body))
		}
	}
	all := everyContract()
	f.Fuzz(func(t *testing.T, which uint8, status uint16, contentType, name, value string, body []byte) {
		c := all[int(which)%len(all)]
		if c.Verdict == nil || status < 200 || status > 599 {
			return // a reply of another status never gets here: net/http reads on
		}
		reply := func() *http.Response {
			h := http.Header{"Content-Type": {contentType}}
			if name != "" {
				h.Set(name, value)
			}
			return &http.Response{StatusCode: int(status), Proto: "HTTP/1.1", Header: h, Body: io.NopCloser(bytes.NewReader(body))}
		}
		given := bytes.Clone(body)
		v := c.Verdict(reply(), body)
		require.LessOrEqual(t, v, idem.ReplyUnknown, "%s: there is no such verdict", c.Name)
		require.Equal(t, given, body, "%s changed the body", c.Name)
		require.Equal(t, v, c.Verdict(reply(), body), "%s says two things of one reply", c.Name)

		nothing := v == idem.ReplyRefused || v == idem.ReplyLater
		what := "%s: %v of a %d"
		if status < 300 {
			// Only an answer that lists what went wrong may say so under a 200.
			listed := graphQL(c) && status == 200 && json.Valid(body)
			require.True(t, !nothing || listed, what, c.Name, v, status)
		}
		if status >= 300 && status < 400 {
			require.False(t, nothing || v == idem.ReplyDone, what, c.Name, v, status)
		}
		if status >= 400 {
			require.NotEqual(t, idem.ReplyDone, v, what, c.Name, v, status)
		}
		if status >= 500 && name == "" {
			require.NotEqual(t, idem.ReplyRefused, v, what, c.Name, v, status)
		}
		if len(bytes.TrimSpace(body)) == 0 && name == "" {
			require.False(t, nothing, "%s: %v of a %d without a word", c.Name, v, status)
		}
		if strings.HasPrefix(string(body), "<!DOCTYPE html") && name == "" {
			require.False(t, nothing, "%s: %v of a page", c.Name, v)
		}
	})
}
