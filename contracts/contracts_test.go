package contracts_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
)

// profile is what the tests of one contract say of it, each in its own file.
type profile struct {
	function  string // its name in the package
	contract  func() idem.Contract
	place     string // where the key goes on the wire: "header X", "query x", "field /x"
	retention time.Duration
	longest   int      // the longest key it takes
	request   string   // a body to send under it
	form      bool     // that body is a form
	good, bad []string // keys that it takes, or refuses, beyond their length
	rows      []row
}

// row is one reply, with a body as the provider sends it, and what it proves.
type row struct {
	name   string
	status int
	header [2]string // one header besides the content type, or none
	body   string
	want   idem.Verdict
	stored bool // it was decided when the key was looked up: it speaks for every attempt
}

func profiles() []profile {
	return []profile{
		acp(), adyen(), aws(), azure(), braintree(), checkout(), coinbase(), google(), increase(),
		modernTreasury(), payPal(), plaid(), resend(), shopify(), square(), stripeV2(), wise(),
	}
}

func (r row) response() *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	if strings.HasPrefix(r.body, "<") {
		h.Set("Content-Type", "text/xml")
	}
	if r.header[0] != "" {
		h.Set(r.header[0], r.header[1])
	}
	return &http.Response{
		StatusCode: r.status, Status: http.StatusText(r.status), Proto: "HTTP/1.1", Header: h,
		Body: io.NopCloser(bytes.NewReader([]byte(r.body))),
	}
}

func verdict(c idem.Contract, r row) idem.Verdict {
	if c.Verdict == nil {
		return idem.ReplyUsual
	}
	return c.Verdict(r.response(), []byte(r.body))
}

// A reply means what its provider documents, and nothing more: the four meanings
// of 409 are kept apart by the error code, and one that is not recognised proves
// nothing.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	for _, p := range profiles() {
		for _, r := range p.rows {
			t.Run(p.function+"/"+r.name, func(t *testing.T) {
				t.Parallel()
				require.Equal(t, r.want.String(), verdict(p.contract(), r).String())
			})
		}
	}
}

// No body makes a profile panic, and none that its provider could not have
// written makes it claim that an intent was refused, is done, or may be sent
// again because nothing happened.
func TestStrangeBodies(t *testing.T) {
	t.Parallel()
	bodies := []string{
		"", "null", "[]", "{}", "7", `"x"`, "{", `{"errors":7}`, `{"error":[]}`, `{"errors":[null]}`, `{"data":[1]}`,
		`{"data":{},"errors":[]}`, "<html><h1>502 Bad Gateway</h1></html>", "\xff\xfe", "<Error><Code>",
		`{"type":{"a":1},"code":["x"],"name":null}`, strings.Repeat("[", 20000),
	}
	for _, p := range profiles() {
		c := p.contract()
		for _, status := range []int{200, 400, 404, 409, 412, 422, 500, 503} {
			for _, body := range bodies {
				v := verdict(c, row{status: status, body: body})
				require.NotContains(t, []idem.Verdict{idem.ReplyDone, idem.ReplyRefused, idem.ReplyLater}, v,
					"%s made %v of status %d and %.40q", p.function, v, status, body)
			}
		}
	}
}

// A key goes where the provider reads it, is no longer than it allows, and is
// honoured no longer than it says.
func TestPlaceLengthRetention(t *testing.T) {
	t.Parallel()
	for _, p := range profiles() {
		t.Run(p.function, func(t *testing.T) {
			t.Parallel()
			c := p.contract()
			require.Equal(t, p.retention, c.Retention)
			places := []string{}
			for kind, at := range map[string]string{"header ": c.Header, "query ": c.Query, "field ": c.Field} {
				if at != "" {
					places = append(places, kind+at)
				}
			}
			require.Equal(t, []string{p.place}, places)
			longest := c.MaxKey
			if longest == 0 {
				longest = 255
			}
			require.Equal(t, p.longest, longest)
		})
	}
}

// The key that an intent gets by default fits every profile, and a profile with
// an alphabet of its own refuses what lies outside it.
func TestKeys(t *testing.T) {
	t.Parallel()
	for _, p := range profiles() {
		t.Run(p.function, func(t *testing.T) {
			t.Parallel()
			c := p.contract()
			key := uuid.NewString()
			if c.NewKey != nil {
				key = c.NewKey()
			}
			require.LessOrEqual(t, len(key), p.longest)
			require.GreaterOrEqual(t, len(key), c.MinKey)
			if c.CheckKey == nil {
				require.Empty(t, p.bad, "a profile without CheckKey refuses nothing")
				return
			}
			require.NoError(t, c.CheckKey(key))
			for _, good := range p.good {
				require.NoError(t, c.CheckKey(good), good)
			}
			require.NotEmpty(t, p.bad)
			for _, bad := range p.bad {
				require.Error(t, c.CheckKey(bad), bad)
			}
		})
	}
}

// Every profile is a value of its own: named, named once, and fresh at each call,
// so that a field changed in one copy changes no other.
func TestValues(t *testing.T) {
	t.Parallel()
	names := map[string]string{}
	for _, p := range profiles() {
		c := p.contract()
		require.NotEmpty(t, c.Name, p.function)
		require.Empty(t, names[c.Name], "%s and %s share the name %q", names[c.Name], p.function, c.Name)
		names[c.Name] = p.function
		name := c.Name
		c.Name, c.Retention, c.Field, c.Verdict = "changed", 0, "/changed", nil
		fresh := p.contract()
		require.Equal(t, name, fresh.Name)
		require.Equal(t, p.retention, fresh.Retention)
		require.NotEqual(t, "/changed", fresh.Field)
	}
}
