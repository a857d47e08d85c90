package fingerprint

import (
	"bytes"
	"fmt"
	"mime"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// putKey puts the key into a body: at a JSON pointer, or into a form under the
// pointer's one name. The rest of the body stays as it is, byte for byte.
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
			if kind, n := d.StackIndex(d.StackDepth()); kind == '{' && n%2 == 1 { // the member is there: its value is replaced
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

func hasMember(body []byte, pointer string) bool {
	_, ok := Lookup(body, pointer)
	return ok
}

func splice(body []byte, from, to int64, with []byte) []byte {
	out := make([]byte, 0, len(body)+len(with))
	out = append(out, body[:from]...)
	out = append(out, with...)
	return append(out, body[to:]...)
}

// setPair puts name=value into a raw query in place of any that is there.
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
