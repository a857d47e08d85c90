package fingerprint_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/fingerprint"
	"github.com/idem-go/idem/internal/testkit"
)

// Payload identity on texts nobody thought of: what is canonical stays as it is,
// equal JSON has one fingerprint, another value has another.

// jsonSeeds are texts around the edges of the rules.
func jsonSeeds(f *testing.F) {
	for _, seed := range []string{
		`null`, `true`, `""`, `0`, `-0`, `-0.0E-0`, `1e400`, `1E-400`, `0.1000000000000000055`, `9007199254740993`,
		`1e99999999999999999999`, `0e99999999999999999999`, `-1.50e+3`, `12345678901234567890123456789012345678901234567890`,
		`[]`, `{}`, `[[],{}]`, `{"":{"":[null]}}`, `{"a":1,"b":[1,2.0,{"c":"\u00e9\ud83d\ude00\/"}],"ä":false}`,
		`{"a/b":1,"m~n":2,"\u0000":"\u001f"}`, `{"€":1,"\ud83d\ude00":2,"\ufb33":3}`, // the order of UTF-16 units is not that of bytes
		`{"a":1,"a":2}`, `{"a":1`, `1 2`, `"\ud800"`, "\"\xff\"", ` [ 1 , 2 ] `, `{"amount":5,"currency":"usd","at":1700000000}`,
	} {
		f.Add([]byte(seed), uint64(len(seed)))
	}
}

// canonical(canonical(x)) = canonical(x), and it is JSON that says the same.
func FuzzCanonicalJSONIsStable(f *testing.F) {
	jsonSeeds(f)
	f.Fuzz(func(t *testing.T, body []byte, _ uint64) {
		given := slices.Clone(body)
		once, ok := fingerprint.CanonicalJSON(body, nil)
		require.Equal(t, given, body, "the payload is only read")
		if !ok {
			return
		}
		require.True(t, json.Valid(once), "%q", once)
		twice, ok := fingerprint.CanonicalJSON(once, nil)
		require.True(t, ok)
		require.Equal(t, string(once), string(twice))
	})
}

// A JSON text in another order, with other white space, escapes and spellings of
// its numbers, has the same fingerprint.
func FuzzEqualJSONIsTheSame(f *testing.F) {
	jsonSeeds(f)
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		v := readTree(body)
		if v == nil {
			return
		}
		var other strings.Builder
		v.write(&other, rand.New(rand.NewPCG(seed, 1)))
		a, b := sent{contentType: testkit.JSON, body: string(body)}, sent{contentType: testkit.JSON, body: other.String()}
		require.True(t, alike(t, a, b, idem.Policy{}), "%s\n%s", a.body, b.body)
	})
}

// One scalar that says something else makes another fingerprint, and the mismatch
// names a field.
func FuzzOtherJSONIsAnother(f *testing.F) {
	jsonSeeds(f)
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		v := readTree(body)
		if v == nil {
			return
		}
		scalars := v.scalars(nil)
		if len(scalars) == 0 {
			return
		}
		rng := rand.New(rand.NewPCG(seed, 2))
		scalars[rng.IntN(len(scalars))].change()
		var other strings.Builder
		v.write(&other, rng)
		a, b := sent{contentType: testkit.JSON, body: string(body)}, sent{contentType: testkit.JSON, body: other.String()}
		require.False(t, alike(t, a, b, idem.Policy{}), "%s\n%s", a.body, b.body)
		named := fingerprint.Differ(payloadOf(t, a.request(t), idem.Policy{}), payloadOf(t, b.request(t), idem.Policy{}))
		require.True(t, strings.HasPrefix(named, "JSON field "), named)
	})
}

// Bodies that are neither JSON nor a form are compared byte by byte, and a query
// never passes for a part of one.
func FuzzOtherBytesAreAnother(f *testing.F) {
	f.Add([]byte("a"), []byte("b"), []byte("q=1"))
	f.Add([]byte("\x00\x05empty"), []byte(""), []byte("=bytes"))
	f.Fuzz(func(t *testing.T, a, b, query []byte) {
		const url = "https://api.example.com/v1/charges"
		one, two := sent{url: url, contentType: "text/plain", body: string(a)}, sent{url: url, contentType: "text/plain", body: string(b)}
		require.Equal(t, bytes.Equal(a, b), alike(t, one, two, idem.Policy{}))
		withQuery := two.request(t)
		withQuery.URL.RawQuery = strings.Map(func(r rune) rune {
			if r <= ' ' || r == 0x7f || r == '&' || r == utf8.RuneError {
				return -1
			}
			return r
		}, "q"+string(query))
		require.NotEqual(t, sumOf(t, one.request(t), idem.Policy{}), sumOf(t, withQuery, idem.Policy{}))
	})
}

// tree is a JSON value, read and written with code of the tests' own.
type tree struct {
	scalar  any // nil, bool, string, json.Number
	names   []string
	values  []*tree
	isArray bool
	isLeaf  bool
}

// readTree is nil for what is not one JSON value with unique names in valid
// Unicode. Half a pair of surrogates reads as U+FFFD, so that goes too.
func readTree(body []byte) *tree {
	if !json.Valid(body) || !utf8.Valid(body) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	return readValue(d)
}

func readValue(d *json.Decoder) *tree {
	token, err := d.Token()
	if err != nil {
		return nil
	}
	open, isOpen := token.(json.Delim)
	if !isOpen {
		if text, ok := token.(string); ok && strings.ContainsRune(text, utf8.RuneError) {
			return nil
		}
		return &tree{scalar: token, isLeaf: true}
	}
	v := &tree{isArray: open == '['}
	for d.More() {
		if !v.isArray {
			token, _ := d.Token()
			name, _ := token.(string)
			if slices.Contains(v.names, name) || strings.ContainsRune(name, utf8.RuneError) {
				return nil
			}
			v.names = append(v.names, name)
		}
		member := readValue(d)
		if member == nil {
			return nil
		}
		v.values = append(v.values, member)
	}
	if _, err := d.Token(); err != nil {
		return nil
	}
	return v
}

func (v *tree) scalars(found []*tree) []*tree {
	if v.isLeaf {
		if n, ok := v.scalar.(json.Number); ok && hugeExponent(n) {
			return found // compared as it is written
		}
		return append(found, v)
	}
	for _, member := range v.values {
		found = member.scalars(found)
	}
	return found
}

// hugeExponent tells of a power of ten that is compared as it is written.
func hugeExponent(n json.Number) bool {
	_, exponent, _ := strings.Cut(strings.ToLower(n.String()), "e")
	return len(strings.TrimLeft(exponent, "+-0")) > 15
}

// change makes a scalar say something else.
func (v *tree) change() {
	switch x := v.scalar.(type) {
	case nil:
		v.scalar = false
	case bool:
		v.scalar = !x
	case string:
		v.scalar = x + "x"
	case json.Number:
		mantissa, _, _ := strings.Cut(strings.ToLower(x.String()), "e")
		switch text := x.String(); {
		case strings.Trim(mantissa, "-0.") == "":
			v.scalar = json.Number("1")
		case text[0] == '-':
			v.scalar = json.Number(text[1:])
		default:
			v.scalar = json.Number("-" + text)
		}
	}
}

// write writes the value down as rng pleases.
func (v *tree) write(out *strings.Builder, rng *rand.Rand) {
	space := func() { out.WriteString([]string{"", "", " ", "\n\t", "\r "}[rng.IntN(5)]) }
	space()
	defer space()
	if v.isLeaf {
		switch x := v.scalar.(type) {
		case string:
			writeString(out, x, rng)
		case json.Number:
			out.WriteString(spelled(x, rng))
		default:
			fmt.Fprint(out, map[any]string{nil: "null", true: "true", false: "false"}[x])
		}
		return
	}
	order := make([]int, len(v.values))
	for i := range order {
		order[i] = i
	}
	open, end := "[", "]"
	if !v.isArray {
		open, end = "{", "}"
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	out.WriteString(open)
	space()
	for n, i := range order {
		if n > 0 {
			out.WriteString(",")
			space()
		}
		if !v.isArray {
			writeString(out, v.names[i], rng)
			space()
			out.WriteString(":")
		}
		v.values[i].write(out, rng)
	}
	out.WriteString(end)
}

func writeString(out *strings.Builder, s string, rng *rand.Rand) {
	out.WriteByte('"')
	for _, r := range s {
		switch {
		case r < ' ' || r == '"' || r == '\\' || (r < 0x10000 && rng.IntN(4) == 0):
			fmt.Fprintf(out, `\u%04x`, r)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
}

// spelled is another spelling of the same number.
func spelled(n json.Number, rng *rand.Rand) string {
	s := n.String()
	switch hasExponent, hasFraction := strings.ContainsAny(s, "eE"), strings.Contains(s, "."); {
	case hasExponent && hugeExponent(n):
	case hasExponent && rng.IntN(2) == 0:
		return strings.NewReplacer("e", "E", "E", "e").Replace(s)
	case hasExponent:
	case rng.IntN(3) == 0:
		return s + "e0"
	case hasFraction && rng.IntN(2) == 0:
		return s + "0"
	case !hasFraction && rng.IntN(2) == 0:
		return s + ".0"
	}
	return s
}
