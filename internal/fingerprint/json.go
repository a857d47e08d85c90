package fingerprint

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// CanonicalJSON returns body in the canonical form of RFC 8785, except that numbers
// stay exact: members are sorted, white space and escapes are normalised, 1.0 becomes 1
// and 9007199254740993 stays as it is. The values at the JSON pointers in omit are left
// out. It returns false if body is not one JSON value or has duplicate names.
func CanonicalJSON(body []byte, omit []string) ([]byte, bool) {
	if len(omit) > 0 {
		cut, ok := cutJSON(body, omit)
		if !ok {
			return nil, false
		}
		body = cut
	}
	value := jsontext.Value(bytes.Clone(body))
	if value.Canonicalize(jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false)) != nil {
		return nil, false
	}
	return exactNumbers(value), true
}

// cutJSON returns body without the values at the JSON pointers in omit.
func cutJSON(body []byte, omit []string) ([]byte, bool) {
	var out bytes.Buffer
	d := jsontext.NewDecoder(bytes.NewReader(body))
	e := jsontext.NewEncoder(&out, jsontext.CanonicalizeRawInts(false))
	omitted := func(pointer string) bool {
		for _, o := range omit {
			if o == pointer {
				return true
			}
		}
		return false
	}
	for {
		kind := d.PeekKind()
		// A member's name and its value have the same pointer, so a member is cut at its
		// name. An array element is cut before it is read, by its index.
		if parent, n := d.StackIndex(d.StackDepth()); parent == '[' && kind != ']' &&
			omitted(elementPointer(d, n)) {
			if d.SkipValue() != nil {
				return nil, false
			}
			continue
		}
		if kind == 0 {
			break
		}
		token, err := d.ReadToken()
		if err != nil {
			return nil, false
		}
		if parent, n := d.StackIndex(d.StackDepth()); parent == '{' && n%2 == 1 && token.Kind() == '"' &&
			omitted(string(d.StackPointer())) {
			if d.SkipValue() != nil {
				return nil, false
			}
			continue
		}
		if e.WriteToken(token) != nil {
			return nil, false
		}
		if d.StackDepth() == 0 {
			break
		}
	}
	if d.PeekKind() != 0 { // more than one value
		return nil, false
	}
	return out.Bytes(), true
}

// elementPointer returns the pointer of the array element that d reads next, after n
// elements.
func elementPointer(d *jsontext.Decoder, n int64) string {
	pointer := string(d.StackPointer())
	if n > 0 { // d.StackPointer still names the element before
		pointer = pointer[:strings.LastIndexByte(pointer, '/')]
	}
	return pointer + "/" + strconv.FormatInt(n, 10)
}

// exactNumbers returns the canonical text with every number replaced by exactNumber,
// and so without the rounding that RFC 8785 requires.
func exactNumbers(text []byte) []byte {
	out := text[:0:0]
	copied := 0
	for i := 0; i < len(text); {
		switch b := text[i]; {
		case b == '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			i++
		case b == '-' || (b >= '0' && b <= '9'):
			start := i
			for i < len(text) && strings.IndexByte("+-.eE0123456789", text[i]) >= 0 {
				i++
			}
			if exact := exactNumber(string(text[start:i])); exact != string(text[start:i]) {
				out = append(append(out, text[copied:start]...), exact...)
				copied = i
			}
		default:
			i++
		}
	}
	if copied == 0 {
		return text
	}
	return append(out, text[copied:]...)
}

// exactNumber returns the one text that stands for all JSON numbers equal to s: an
// integer of up to 40 digits as it is, and any other number as its digits, without
// zeros at either end, and a power of ten. It returns s if the exponent is beyond 2^60.
func exactNumber(s string) string {
	if len(s) <= 40 && s != "-0" && !strings.ContainsAny(s, ".eE") {
		return s
	}
	mantissa, exponent := s, int64(0)
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa = s[:i]
		n, err := strconv.ParseInt(s[i+1:], 10, 64)
		if err != nil || n > 1<<60 || n < -(1<<60) {
			return s
		}
		exponent = n
	}
	sign := ""
	if mantissa[0] == '-' {
		sign, mantissa = "-", mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	exponent -= int64(len(fraction))
	short := strings.TrimRight(digits, "0")
	exponent += int64(len(digits) - len(short))
	switch {
	case short == "":
		return "0"
	case exponent >= 0 && int64(len(short))+exponent <= 40:
		return sign + short + strings.Repeat("0", int(exponent))
	}
	return sign + short + "e" + strconv.FormatInt(exponent, 10)
}

// differJSON returns the quoted pointer of the first value in which two canonical texts
// differ, in the order of their names.
func differJSON(a, b []byte) string {
	x, y := jsontext.NewDecoder(bytes.NewReader(a)), jsontext.NewDecoder(bytes.NewReader(b))
	for {
		tx, errX := x.ReadToken()
		ty, errY := y.ReadToken()
		if errX != nil || errY != nil {
			return `""`
		}
		px, py := string(x.StackPointer()), string(y.StackPointer())
		if px != py || tx.String() != ty.String() || tx.Kind() != ty.Kind() {
			switch {
			case ends(ty): // a has one more value, at px
			case ends(tx), py < px:
				px = py
			}
			return QuoteName(px)
		}
	}
}

// ends reports whether t ends an object or an array.
func ends(t jsontext.Token) bool { return t.Kind() == '}' || t.Kind() == ']' }

// QuoteName returns name in quotes for a message, cut to 120 bytes.
func QuoteName(name string) string {
	if len(name) > 120 {
		name = name[:120] + "…"
	}
	return strconv.Quote(name)
}

// Lookup returns the raw value at a JSON pointer of body. It returns false if there is
// no such value or body is not JSON up to it.
func Lookup(body []byte, pointer string) (jsontext.Value, bool) {
	d := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		kind := d.PeekKind()
		if kind == 0 {
			return nil, false
		}
		if parent, n := d.StackIndex(d.StackDepth()); parent == '[' && kind != ']' && elementPointer(d, n) == pointer {
			v, err := d.ReadValue()
			return v, err == nil
		}
		token, err := d.ReadToken()
		if err != nil {
			return nil, false
		}
		if parent, n := d.StackIndex(d.StackDepth()); parent == '{' && n%2 == 1 && token.Kind() == '"' &&
			string(d.StackPointer()) == pointer {
			v, err := d.ReadValue()
			return v, err == nil
		}
		if d.StackDepth() == 0 {
			return nil, false
		}
	}
}
