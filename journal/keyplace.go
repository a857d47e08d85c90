package journal

import (
	"strings"
)

// DefaultKeyHeader is the header that carries the key where a contract names no
// other place.
const DefaultKeyHeader = "Idempotency-Key"

// KeyPlace says where a request carries its idempotency key. Make one with
// KeyInHeader, KeyInQuery or KeyInField. The zero value is no place: the request
// carries no key. A journal keeps it as its text, such as "header Idempotency-Key".
type KeyPlace string

const (
	placeHeader = "header "
	placeQuery  = "query "
	placeField  = "field "
)

// KeyInHeader returns the place of a key that is the value of a header. name is in
// canonical form, as http.CanonicalHeaderKey returns it.
func KeyInHeader(name string) KeyPlace {
	if name == DefaultKeyHeader {
		return placeHeader + DefaultKeyHeader // a constant: most contracts name this one
	}
	return KeyPlace(placeHeader + name)
}

// KeyInQuery returns the place of a key that is a query parameter.
func KeyInQuery(name string) KeyPlace { return KeyPlace(placeQuery + name) }

// KeyInField returns the place of a key that is a field of the body. pointer is a
// JSON pointer; a form's field is the pointer's only step.
func KeyInField(pointer string) KeyPlace { return KeyPlace(placeField + pointer) }

// Header returns the name of the header that carries the key, empty where the key
// is not in a header.
func (k KeyPlace) Header() string { return k.name(placeHeader) }

// Query returns the name of the query parameter that carries the key, empty where
// the key is not in the query.
func (k KeyPlace) Query() string { return k.name(placeQuery) }

// Field returns the JSON pointer of the field that carries the key, empty where the
// key is not in the body.
func (k KeyPlace) Field() string { return k.name(placeField) }

func (k KeyPlace) name(kind string) string {
	if name, ok := strings.CutPrefix(string(k), kind); ok {
		return name
	}
	return ""
}
