package fingerprint_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/fingerprint"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
	"github.com/idem-go/idem/internal/wire"
	"github.com/idem-go/idem/journal"
)

// Two requests that mean the same have one fingerprint, any others have two. A wrong
// "same" lets another payload pass for the first, and a wrong "other" refuses a retry.

// sent is a request as these tests write it down.
type sent struct {
	method, url, contentType, encoding, body string
}

func (s sent) request(t testing.TB) *http.Request {
	t.Helper()
	if s.method == "" {
		s.method = http.MethodPost
	}
	if s.url == "" {
		s.url = "https://api.example.com/v1/charges"
	}
	req, err := http.NewRequest(s.method, s.url, strings.NewReader(s.body))
	require.NoError(t, err)
	for name, value := range map[string]string{"Content-Type": s.contentType, "Content-Encoding": s.encoding} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	return req
}

// payloadOf returns what the fingerprint of a request under a policy covers.
func payloadOf(t testing.TB, req *http.Request, p idem.Policy) fingerprint.Payload {
	t.Helper()
	place := journal.KeyInHeader(journal.DefaultKeyHeader)
	switch c := p.Contract; {
	case c.Field != "":
		place = journal.KeyInField(c.Field)
	case c.Query != "":
		place = journal.KeyInQuery(c.Query)
	case c.Header != "":
		place = journal.KeyInHeader(c.Header)
	}
	payload, err := testkit.PayloadUnder(wire.ReadOptions{Place: place, Redact: p.Redact, MaxPayload: 16 << 20}, req, p.Ignore...)
	require.NoError(t, err)
	return payload
}

func sumOf(t testing.TB, req *http.Request, p idem.Policy) [32]byte {
	t.Helper()
	return payloadOf(t, req, p).Fingerprint()
}

// alike tells whether two requests have one fingerprint.
func alike(t testing.TB, a, b sent, p idem.Policy) bool {
	t.Helper()
	return sumOf(t, a.request(t), p) == sumOf(t, b.request(t), p)
}

func gzipped(t testing.TB, text string, level int) string {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level)
	require.NoError(t, err)
	_, err = w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

// JSON is compared by what it says, with numbers exact: nothing that a reader
// could tell apart is called the same.
func TestFingerprintOfJSON(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		a, b string
		same bool
	}{
		"order of names":                {`{"a":1,"b":{"c":2,"d":3}}`, `{"b":{"d":3,"c":2},"a":1}`, true},
		"white space":                   {`{"a":[1,2]}`, " {\n\t\"a\" : [ 1 , 2 ] }\r\n", true},
		"escapes":                       {`{"a":"é/\n"}`, `{"\u0061":"\u00e9\/\u000a"}`, true},
		"a pair of surrogates":          {`"😀"`, `"\ud83d\ude00"`, true},
		"1.0":                           {`{"n":1}`, `{"n":1.0}`, true},
		"1e0":                           {`{"n":1}`, `{"n":1e0}`, true},
		"10e-1":                         {`{"n":1}`, `{"n":10E-1}`, true},
		"0.10":                          {`{"n":0.1}`, `{"n":0.10}`, true},
		"-0":                            {`{"n":0}`, `{"n":-0}`, true},
		"-0.0e5":                        {`{"n":0}`, `{"n":-0.0e5}`, true},
		"1e2":                           {`{"n":100}`, `{"n":1e2}`, true},
		"1e50 written out":              {`{"n":1e50}`, `{"n":1` + strings.Repeat("0", 50) + `}`, true},
		"an integer past 2^53":          {`{"n":9007199254740993}`, `{"n":9007199254740992}`, false},
		"a long integer":                {`{"n":123456789012345678901234567890}`, `{"n":123456789012345678901234567891}`, false},
		"a longer integer":              {`{"n":1` + strings.Repeat("0", 49) + `1}`, `{"n":1` + strings.Repeat("0", 49) + `2}`, false},
		"a fraction finer than float64": {`{"n":0.1}`, `{"n":0.1000000000000000055}`, false},
		"over the range of float64":     {`{"n":1e400}`, `{"n":1e401}`, false},
		"under the range of float64":    {`{"n":1e-400}`, `{"n":0}`, false},
		"a minus":                       {`{"n":1}`, `{"n":-1}`, false},
		"a number and its text":         {`{"n":1}`, `{"n":"1"}`, false},
		"null and absent":               {`{"a":null}`, `{}`, false},
		"null and false":                {`{"a":null}`, `{"a":false}`, false},
		"empty list and empty object":   {`[]`, `{}`, false},
		"order of a list":               {`[1,2]`, `[2,1]`, false},
		"NFC and NFD":                   {`{"name":"\u00e9"}`, `{"name":"e\u0301"}`, false},
		"case of a name":                {`{"a":1}`, `{"A":1}`, false},
		"digits inside a text":          {`{"n":"1.0"}`, `{"n":"1"}`, false},
		"a quote inside a text":         {`{"n":"\"1.0"}`, `{"n":"\"1"}`, false},
		"duplicate names, first":        {`{"a":1,"a":2}`, `{"a":1}`, false},
		"duplicate names, last":         {`{"a":1,"a":2}`, `{"a":2}`, false},
		"duplicate names, spaced":       {`{"a":1,"a":2}`, `{"a":1, "a":2}`, false}, // bytes: what it means is anybody's guess
		"duplicate names, equal":        {`{"a":1,"a":2}`, `{"a":1,"a":2}`, true},
		"not JSON, spaced":              {`{"a":1`, `{"a": 1`, false},
		"two values":                    {`1 2`, `1  2`, false},
		"a lone surrogate":              {`"\ud800"`, `"\ufffd"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range []string{testkit.JSON, "application/vnd.api+json; charset=utf-8"} {
				a, b := sent{contentType: kind, body: x.a}, sent{contentType: kind, body: x.b}
				require.Equal(t, x.same, alike(t, a, b, idem.Policy{}), "%s and %s", x.a, x.b)
			}
		})
	}
}

// A form is compared by its pairs sorted by name; the values of one name keep
// their order, which may mean something.
func TestFingerprintOfForms(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		a, b string
		same bool
	}{
		"order of names":            {"a=1&b=2", "b=2&a=1", true},
		"escapes":                   {"a[b]=x+y", "a%5Bb%5D=x%20y", true},
		"empty pairs":               {"a=1&&b=2&", "a=1&b=2", true},
		"no value and an empty one": {"a", "a=", true},
		"order of one name":         {"a=1&a=2", "a=2&a=1", false},
		"one name among others":     {"a=1&b=0&a=2", "b=0&a=1&a=2", true},
		"another value":             {"a=1", "a=2", false},
		"another name":              {"a=1", "b=1", false},
		"empty and absent":          {"a=&b=1", "b=1", false},
		"numbers are texts":         {"a=1", "a=1.0", false},
		"a plus":                    {"a=x+y", "a=x%2By", false},
		"an escape in a name":       {"%61=x", "a=x", true},
		"an escape in a value":      {"a=%78", "a=x", true},
		"a plus in a name":          {"a+b=x", "a%20b=x", true},
		"where one ends":            {"a=1&b=2", "a=1%26b=2", false},
		"not a form":                {"a=%zz", "a=%zz&", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := sent{contentType: testkit.Form, body: x.a}, sent{contentType: testkit.Form, body: x.b}
			require.Equal(t, x.same, alike(t, a, b, idem.Policy{}), "as bodies")
			const url = "https://api.example.com/v1/charges?"
			require.Equal(t, x.same, alike(t, sent{url: url + x.a}, sent{url: url + x.b}, idem.Policy{}), "as queries")
		})
	}
}

// part is one part of a multipart body.
func part(header, content string) string { return header + "\r\n\r\n" + content }

func multipartOf(boundary string, parts ...string) sent {
	return sent{
		contentType: "multipart/form-data; boundary=" + boundary,
		body:        "--" + boundary + "\r\n" + strings.Join(parts, "\r\n--"+boundary+"\r\n") + "\r\n--" + boundary + "--\r\n",
	}
}

// A multipart body is compared by its parts: the boundary is random.
func TestFingerprintOfMultipart(t *testing.T) {
	t.Parallel()
	name := func(n string) string { return `Content-Disposition: form-data; name="` + n + `"` }
	first := multipartOf("b1", part(name("a"), "1"), part(name("b")+"\r\nContent-Type: text/plain", "2"))
	for what, x := range map[string]struct {
		other sent
		same  bool
	}{
		"another boundary":         {multipartOf("b2222", part(name("a"), "1"), part(name("b")+"\r\nContent-Type: text/plain", "2")), true},
		"order of a part's header": {multipartOf("b3", part(name("a"), "1"), part("Content-Type: text/plain\r\n"+name("b"), "2")), true},
		"case of a header's name":  {multipartOf("b3", part(name("a"), "1"), part(name("b")+"\r\ncontent-type: text/plain", "2")), true},
		"order of the parts":       {multipartOf("b4", part(name("b")+"\r\nContent-Type: text/plain", "2"), part(name("a"), "1")), false},
		"another content":          {multipartOf("b5", part(name("a"), "1"), part(name("b")+"\r\nContent-Type: text/plain", "3")), false},
		"another name":             {multipartOf("b6", part(name("a"), "1"), part(name("c")+"\r\nContent-Type: text/plain", "2")), false},
		"another type":             {multipartOf("b7", part(name("a"), "1"), part(name("b")+"\r\nContent-Type: text/html", "2")), false},
		"a part less":              {multipartOf("b8", part(name("a"), "1")), false},
	} {
		require.Equal(t, x.same, alike(t, first, x.other, idem.Policy{}), what)
	}
	ignored := multipartOf("b9", part(name("a"), "other"), part(name("b")+"\r\nContent-Type: text/plain", "2"))
	require.True(t, alike(t, first, ignored, idem.Policy{Ignore: []string{"a"}}))
	require.True(t, alike(t, first, ignored, idem.Policy{Ignore: []string{"/a"}}))
}

// What a request is made of is told apart, whatever it holds: no two payloads run
// together because one's end looks like the other's middle.
func TestFingerprintPartsNeverRunTogether(t *testing.T) {
	t.Parallel()
	const host = "https://api.example.com"
	for name, x := range map[string][2]sent{
		"method":           {{method: "POST"}, {method: "PUT"}},
		"host":             {{url: host + "/a"}, {url: "https://api2.example.com/a"}},
		"path":             {{url: host + "/a"}, {url: host + "/b"}},
		"path and host":    {{url: "https://a.example.com/b"}, {url: "https://a.example.co/mb"}},
		"an escaped slash": {{url: host + "/a/b"}, {url: host + "/a%2Fb"}},
		"path and query":   {{url: host + "/a?b=1"}, {url: host + "/a%3Fb=1"}},
		"query and body":   {{url: host + "/?a=1", contentType: testkit.Form}, {url: host + "/", contentType: testkit.Form, body: "a=1"}},
		"form and text":    {{contentType: testkit.Form, body: "a=1"}, {contentType: "text/plain", body: "a=1"}},
		"JSON and text":    {{contentType: testkit.JSON, body: "1"}, {contentType: "text/plain", body: "1"}},
		"no body and a space": {
			{contentType: "text/plain"}, {contentType: "text/plain", body: " "}},
		"no body and null": {
			{contentType: testkit.JSON}, {contentType: testkit.JSON, body: "null"}},
		"a query that ends like a body begins": {
			{url: host + "/?=bytes"}, {url: host + "/", contentType: "text/plain", body: "\x00\x05empty"}},
		"a query that begins as a body ends": {
			{url: host + "/?bytes="}, {url: host + "/", contentType: "text/plain", body: "\x00\x05empty"}},
		"a query that is none": {
			{url: host + "/?%zz"}, {url: host + "/?%25zz="}},
		"one header of three values and two headers": {
			multipartOf("b1", part("A: x\r\nA: B\r\nA: y", "1")), multipartOf("b1", part("A: x\r\nB: y", "1"))},
		"an encoded body and the same bytes": {
			{contentType: "text/plain", encoding: "br", body: "x"}, {contentType: "text/plain", body: "x"}},
		"a query field named like a key's place": {
			{url: host + "/?header+Idempotency-Key=1"}, {url: host + "/?header+Idempotency-Key=2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.False(t, alike(t, x[0], x[1], idem.Policy{}))
		})
	}
	require.True(t, alike(t, sent{url: "https://API.example.com/a"}, sent{url: "https://api.example.com/a"}, idem.Policy{}), "the case of a host")
	require.True(t, alike(t, sent{url: host + "/a#x"}, sent{url: host + "/a"}, idem.Policy{}), "a fragment is not sent")
	require.True(t, alike(t, sent{contentType: testkit.JSON}, sent{contentType: testkit.Form}, idem.Policy{}), "no body has no kind")
}

// A compressed body is compared by what it holds: two compressors make different
// bytes of it.
func TestFingerprintOfCompressedBodies(t *testing.T) {
	t.Parallel()
	text := `{"a":1,"b":"` + strings.Repeat("xy", 200) + `"}`
	plain := sent{contentType: testkit.JSON, body: text}
	fast := sent{contentType: testkit.JSON, encoding: "gzip", body: gzipped(t, text, gzip.BestSpeed)}
	small := sent{contentType: testkit.JSON, encoding: "GZIP", body: gzipped(t, "  "+text, gzip.NoCompression)}
	other := sent{contentType: testkit.JSON, encoding: "gzip", body: gzipped(t, `{"a":2}`, gzip.BestSpeed)}
	require.NotEqual(t, fast.body, small.body)
	require.True(t, alike(t, fast, small, idem.Policy{}))
	require.True(t, alike(t, fast, plain, idem.Policy{}))
	require.False(t, alike(t, fast, other, idem.Policy{}))

	damaged := sent{contentType: testkit.JSON, encoding: "gzip", body: fast.body[:len(fast.body)-3]}
	require.True(t, alike(t, damaged, damaged, idem.Policy{}), "what cannot be decoded is compared as bytes")
	require.False(t, alike(t, damaged, fast, idem.Policy{}))
}

// Policy.Ignore leaves out what changes between two calls that mean the same, and
// nothing else; the key's own place is left out too, since SDKs fill it.
func TestFingerprintIgnores(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		ignore []string
		a, b   string
		same   bool
	}{
		"a member":                {[]string{"/at"}, `{"at":1,"n":2}`, `{"n":2,"at":99}`, true},
		"a member that is absent": {[]string{"/at"}, `{"at":1,"n":2}`, `{"n":2}`, true},
		"a whole object":          {[]string{"/meta"}, `{"meta":{"x":[1,{"y":2}]},"n":2}`, `{"n":2,"meta":null}`, true},
		"a nested member":         {[]string{"/meta/at"}, `{"meta":{"at":1,"k":1}}`, `{"meta":{"k":1,"at":2}}`, true},
		"beside a nested member":  {[]string{"/meta/at"}, `{"meta":{"at":1,"k":1}}`, `{"meta":{"at":1,"k":2}}`, false},
		"not the same name below": {[]string{"/at"}, `{"x":{"at":1}}`, `{"x":{"at":2}}`, false},
		"a member of an element":  {[]string{"/items/1/at"}, `{"items":[{"at":1},{"at":2}]}`, `{"items":[{"at":1},{"at":3}]}`, true},
		"of another element":      {[]string{"/items/1/at"}, `{"items":[{"at":1},{"at":2}]}`, `{"items":[{"at":3},{"at":2}]}`, false},
		"an element":              {[]string{"/items/0"}, `{"items":[1,2]}`, `{"items":[9,2]}`, true},
		"beside an element":       {[]string{"/items/0"}, `{"items":[1,2]}`, `{"items":[1,3]}`, false},
		"an element that is last": {[]string{"/1"}, `[[1],[2]]`, `[[1],{"x":0}]`, true},
		"a name with a slash":     {[]string{"/a~1b"}, `{"a/b":1}`, `{"a/b":2}`, true},
		"a name with a tilde":     {[]string{"/a~0b"}, `{"a~b":1}`, `{"a~b":2}`, true},
		"several":                 {[]string{"/a", "/c/d"}, `{"a":1,"b":1,"c":{"d":1}}`, `{"a":2,"b":1,"c":{"d":2}}`, true},
		"duplicates under it":     {[]string{"/a"}, `{"a":1,"a":2}`, `{"a":3,"a":4}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := sent{contentType: testkit.JSON, body: x.a}, sent{contentType: testkit.JSON, body: x.b}
			require.Equal(t, x.same, alike(t, a, b, idem.Policy{Ignore: x.ignore}))
			require.False(t, alike(t, a, b, idem.Policy{}), "without Ignore")
		})
	}
	for _, pointer := range []string{"at", "/at"} {
		p := idem.Policy{Ignore: []string{pointer}}
		require.True(t, alike(t, sent{contentType: testkit.Form, body: "at=1&n=2"}, sent{contentType: testkit.Form, body: "n=2&at=3&at=4"}, p))
		require.False(t, alike(t, sent{contentType: testkit.Form, body: "at=1&n=2"}, sent{contentType: testkit.Form, body: "n=3&at=1"}, p))
	}

	inField := idem.Policy{Contract: idem.Contract{Field: "/idempotency_key"}}
	inQuery := idem.Policy{Contract: idem.Contract{Query: "request_id"}}
	const a, b = `{"idempotency_key":"1","n":1}`, `{"n":1}`
	require.True(t, alike(t, sent{contentType: testkit.JSON, body: a}, sent{contentType: testkit.JSON, body: b}, inField))
	require.True(t, alike(t, sent{contentType: testkit.Form, body: "idempotency_key=1&n=1"}, sent{contentType: testkit.Form, body: "n=1"}, inField))
	require.True(t, alike(t, sent{url: "https://a.example/?request_id=1&n=1"}, sent{url: "https://a.example/?n=1"}, inQuery))
	require.False(t, alike(t, sent{contentType: testkit.JSON, body: a}, sent{contentType: testkit.JSON, body: b}, inQuery))
}

// Headers are no part of it: SDKs put new ones into each attempt.
func TestFingerprintLeavesHeadersOut(t *testing.T) {
	t.Parallel()
	one := sent{contentType: testkit.JSON, body: `{"a":1}`}.request(t)
	two := sent{contentType: testkit.JSON, body: `{"a":1}`}.request(t)
	for _, name := range []string{"Idempotency-Key", "X-Stripe-Client-Telemetry", "X-Stainless-Retry-Count", "Traceparent", "Authorization"} {
		two.Header.Set(name, "anything")
	}
	require.Equal(t, sumOf(t, one, idem.Policy{}), sumOf(t, two, idem.Policy{}))
}

// An ErrMismatch names the first place that differs, from whichever side, and
// never a value.
func TestMismatchNamesTheField(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		a, b  sent
		named string
	}{
		"a value":           {sent{contentType: testkit.JSON, body: `{"a":1,"n":"hidden1"}`}, sent{contentType: testkit.JSON, body: `{"n":"hidden2","a":1}`}, `JSON field "/n"`},
		"the first of two":  {sent{contentType: testkit.JSON, body: `{"z":1,"a":1}`}, sent{contentType: testkit.JSON, body: `{"a":2,"z":2}`}, `JSON field "/a"`},
		"a kind":            {sent{contentType: testkit.JSON, body: `{"n":"1"}`}, sent{contentType: testkit.JSON, body: `{"n":1}`}, `JSON field "/n"`},
		"a name more":       {sent{contentType: testkit.JSON, body: `{"a":1}`}, sent{contentType: testkit.JSON, body: `{"a":1,"hidden":1}`}, `JSON field "/hidden"`},
		"a name before":     {sent{contentType: testkit.JSON, body: `{"b":1}`}, sent{contentType: testkit.JSON, body: `{"a":1,"b":1}`}, `JSON field "/a"`},
		"a nested name":     {sent{contentType: testkit.JSON, body: `{"m":{},"n":1}`}, sent{contentType: testkit.JSON, body: `{"m":{"x":1},"n":1}`}, `JSON field "/m/x"`},
		"the last nested":   {sent{contentType: testkit.JSON, body: `{"m":{"a":1},"n":1}`}, sent{contentType: testkit.JSON, body: `{"m":{"a":1,"x":1},"n":1}`}, `JSON field "/m/x"`},
		"an element":        {sent{contentType: testkit.JSON, body: `{"l":[1,2]}`}, sent{contentType: testkit.JSON, body: `{"l":[1,3]}`}, `JSON field "/l/1"`},
		"an element more":   {sent{contentType: testkit.JSON, body: `{"l":[1]}`}, sent{contentType: testkit.JSON, body: `{"l":[1,3]}`}, `JSON field "/l/1"`},
		"the first element": {sent{contentType: testkit.JSON, body: `{"l":[]}`}, sent{contentType: testkit.JSON, body: `{"l":[3]}`}, `JSON field "/l/0"`},
		"the whole":         {sent{contentType: testkit.JSON, body: `1`}, sent{contentType: testkit.JSON, body: `2`}, `JSON field ""`},
		"a form's value":    {sent{contentType: testkit.Form, body: "a=1&b=hidden1"}, sent{contentType: testkit.Form, body: "a=1&b=hidden2"}, `form field "b"`},
		"a form's name":     {sent{contentType: testkit.Form, body: "a=1"}, sent{contentType: testkit.Form, body: "a=1&b=hidden2"}, `form field "b"`},
		"a query":           {sent{url: "https://a.example/?b=hidden1"}, sent{url: "https://a.example/?b=hidden2"}, `query field "b"`},
		"a text":            {sent{contentType: "text/plain", body: "hidden1"}, sent{contentType: "text/plain", body: "hidden2"}, "the body"},
		"the path":          {sent{url: "https://a.example/hidden1"}, sent{url: "https://a.example/hidden2"}, "the path"},
		"the method":        {sent{method: "PUT"}, sent{method: "PATCH"}, "the method"},
		"the host":          {sent{url: "https://a.example"}, sent{url: "https://b.example"}, "the host"},
		"the kind of body":  {sent{contentType: testkit.JSON, body: `1`}, sent{contentType: testkit.Form, body: `1`}, "the kind of body"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clientkit.NewClient(t, testkit.NewPath(t))
			for id, pair := range map[string][2]sent{"there": {x.a, x.b}, "and back": {x.b, x.a}} {
				op := idem.Operation{Name: "create", ID: id}
				_, err := c.Begin(context.Background(), op, pair[0].request(t))
				require.NoError(t, err)
				_, err = c.Begin(context.Background(), op, pair[1].request(t))
				require.ErrorIs(t, err, idem.ErrMismatch)
				require.ErrorContains(t, err, "differs in "+x.named)
				if !strings.Contains(x.named, "hidden") {
					require.NotContains(t, err.Error(), "hidden")
				}
			}
		})
	}
}

// A name ends where its value begins: no two lists of fields are the same because
// they read the same when they are written one after the other.
func TestFieldsNeverRunTogether(t *testing.T) {
	t.Parallel()
	const url = "https://api.example.com/v1/charges"
	for _, fields := range [][2]string{
		{"a=bc", "ab=c"}, {"a=b&c=d", "a=bc&d="}, {"a=1&b=2", "a=&1b=2"}, {"to=ann&to=bob", "to=annto&bob="},
	} {
		require.False(t, alike(t, sent{url: url + "?" + fields[0]}, sent{url: url + "?" + fields[1]}, idem.Policy{}), "queries %q", fields)
		require.False(t, alike(t, sent{url: url, contentType: testkit.Form, body: fields[0]},
			sent{url: url, contentType: testkit.Form, body: fields[1]}, idem.Policy{}), "forms %q", fields)
	}
}
