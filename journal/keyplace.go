package journal

import "strings"

// DefaultKeyHeader is the header that carries the key if the contract names no other
// place.
const DefaultKeyHeader = "Idempotency-Key"

// KeyPlace names the place in a request that carries the idempotency key. Make one
// with KeyInHeader, KeyInQuery or KeyInField. At most one of Header, Query and Field
// is not empty. The zero value is no place: the request carries no key. A store keeps
// a KeyPlace as its text, for example "header Idempotency-Key".
type KeyPlace string

const (
	placeHeader = "header "
	placeQuery  = "query "
	placeField  = "field "
)

// KeyInHeader returns the place of a key that is the value of the header name. name
// must be in canonical form, as http.CanonicalHeaderKey returns it.
func KeyInHeader(name string) KeyPlace {
	if name == DefaultKeyHeader {
		return placeHeader + DefaultKeyHeader // a constant: most contracts name this one
	}
	return KeyPlace(placeHeader + name)
}

// KeyInQuery returns the place of a key that is the value of the query parameter
// name.
func KeyInQuery(name string) KeyPlace { return KeyPlace(placeQuery + name) }

// KeyInField returns the place of a key that is the value of a field of the body.
// pointer is a JSON pointer, such as /idempotency_key. In a form body the pointer's
// one step is the field's name.
func KeyInField(pointer string) KeyPlace { return KeyPlace(placeField + pointer) }

// Header returns the name of the header that carries the key, or "" if the key is
// not in a header.
func (k KeyPlace) Header() string { return k.name(placeHeader) }

// Query returns the name of the query parameter that carries the key, or "" if the
// key is not in the query.
func (k KeyPlace) Query() string { return k.name(placeQuery) }

// Field returns the JSON pointer of the field that carries the key, or "" if the key
// is not in the body.
func (k KeyPlace) Field() string { return k.name(placeField) }

// name returns the part of k after the prefix kind, or "" if k has another prefix.
func (k KeyPlace) name(kind string) string {
	if name, ok := strings.CutPrefix(string(k), kind); ok {
		return name
	}
	return ""
}
