package fingerprint

import (
	"bytes"
	"fmt"
	"mime"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// PutKey returns body with key at a JSON pointer, or in a form as the field that the
// pointer's one step names. The rest of a JSON body stays the same, byte for byte; in a
// form, other fields of the same name are removed. PutKey fails if a JSON body has no
// object to put the key into.
func PutKey(contentType string, body []byte, pointer, key string) ([]byte, error) {
	mediaType, _, _ := mime.ParseMediaType(contentType)
	if mediaType == "application/x-www-form-urlencoded" {
		return []byte(SetPair(string(body), strings.TrimPrefix(pointer, "/"), key)), nil
	}
	quoted, err := jsontext.AppendQuote(nil, key)
	if err != nil {
		return nil, fmt.Errorf("the key cannot stand in JSON: %w", err)
	}
	parent, last := pointer[:strings.LastIndexByte(pointer, '/')], pointer[strings.LastIndexByte(pointer, '/')+1:]
	name, err := jsontext.AppendQuote(nil, strings.NewReplacer("~1", "/", "~0", "~").Replace(last))
	if err != nil {
		return nil, fmt.Errorf("the pointer %s has a name that is not UTF-8", pointer)
	}
	d := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		token, err := d.ReadToken()
		if err != nil {
			return nil, fmt.Errorf("the body has no object at %q to put the key into", parent)
		}
		at := d.InputOffset()
		if token.Kind() == '"' && string(d.StackPointer()) == pointer {
			if kind, n := d.StackIndex(d.StackDepth()); kind == '{' && n%2 == 1 { // the member exists: replace its value
				value, err := d.ReadValue()
				if err != nil {
					return nil, fmt.Errorf("the body is not JSON: %w", err)
				}
				end := d.InputOffset()
				return splice(body, end-int64(len(value)), end, quoted), nil
			}
		}
		opened := token.Kind() == '{' && string(d.StackPointer()) == parent
		if opened && !hasMember(body, pointer) {
			member := append(append(name, ':'), quoted...)
			if d.PeekKind() != '}' {
				member = append(member, ',')
			}
			return splice(body, at, at, member), nil
		}
		if d.StackDepth() == 0 {
			return nil, fmt.Errorf("the body has no object at %q to put the key into", parent)
		}
	}
}

// hasMember reports whether body has a value at the pointer.
func hasMember(body []byte, pointer string) bool {
	_, ok := Lookup(body, pointer)
	return ok
}

// splice returns body with the bytes from from to to replaced by with.
func splice(body []byte, from, to int64, with []byte) []byte {
	out := make([]byte, 0, len(body)+len(with))
	out = append(out, body[:from]...)
	out = append(out, with...)
	return append(out, body[to:]...)
}

// SetPair returns the raw query or form with the pair name=value at its end, and
// without other pairs of that name.
func SetPair(raw, name, value string) string {
	var kept []string
	for _, pair := range strings.Split(raw, "&") {
		n, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(n); pair != "" && (err != nil || plain != name) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(append(kept, url.QueryEscape(name)+"="+url.QueryEscape(value)), "&")
}
