package idem_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
)

// The far side of a contract tells payloads apart by the rules of the client's own
// intents: what means the same is the same, and nothing else is.
func TestFingerprintForTheFarSide(t *testing.T) {
	t.Parallel()
	type payload struct{ method, target, kind, body string }
	sum := func(p payload, ignore ...string) [32]byte {
		r := httptest.NewRequest(p.method, p.target, strings.NewReader("not read"))
		r.Header.Set("Content-Type", p.kind)
		sum, rules := idem.Fingerprint(r, []byte(p.body), ignore...)
		require.Positive(t, rules)
		return sum
	}
	const json, form = "application/json", "application/x-www-form-urlencoded"
	first := payload{http.MethodPost, "http://a.example/charges?x=1&token=t", json, `{"cents":5,"at":1}`}
	for name, p := range map[string]payload{
		"white space and order": {first.method, first.target, json, "{ \"at\": 1.0, \"cents\": 5 }"},
		"order of the query":    {first.method, "http://a.example/charges?token=t&x=1", json, first.body},
	} {
		require.Equal(t, sum(first), sum(p), name)
	}
	for name, p := range map[string]payload{
		"method": {http.MethodPut, first.target, json, first.body},
		"host":   {first.method, "http://b.example/charges?x=1&token=t", json, first.body},
		"path":   {first.method, "http://a.example/refunds?x=1&token=t", json, first.body},
		"query":  {first.method, "http://a.example/charges?x=1&token=u", json, first.body},
		"body":   {first.method, first.target, json, `{"cents":6,"at":1}`},
		"kind":   {first.method, first.target, "text/plain", first.body},
	} {
		require.NotEqual(t, sum(first), sum(p), name)
	}
	later := payload{first.method, "http://a.example/charges?x=1&token=u", json, `{"cents":5,"at":2}`}
	require.Equal(t, sum(first, "/at", "?token"), sum(later, "/at", "?token"))
	require.NotEqual(t, sum(first, "/at"), sum(later, "/at"))
	require.NotEqual(t, sum(first, "/at", "?x"), sum(later, "/at", "?x"))
	require.Equal(t, sum(payload{first.method, "/", form, "a=1&at=1"}, "at"), sum(payload{first.method, "/", form, "at=2&a=1"}, "at"))

	// A request that was made by hand may have no URL, no method and no header.
	bare, _ := idem.Fingerprint(&http.Request{}, nil)
	got, _ := idem.Fingerprint(&http.Request{Method: http.MethodGet, Header: http.Header{}}, []byte{})
	require.Equal(t, bare, got)
}
