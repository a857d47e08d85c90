package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// KeyHeader is the request header that carries the key.
const KeyHeader = "Idempotency-Key"

var errNoKey = errors.New("the request has no Idempotency-Key")

// keyOf reads the key, which may be raw or a structured-field string, "in quotes":
// both are one key.
func keyOf(h http.Header, longest int) (string, error) {
	values := h.Values(KeyHeader)
	switch len(values) {
	case 0:
		return "", errNoKey
	case 1:
	default:
		return "", fmt.Errorf("the request has %d %s headers: send one", len(values), KeyHeader)
	}
	key := strings.Trim(values[0], " \t")
	if key == "" {
		return "", errNoKey
	}
	if key[0] == '"' {
		if len(key) < 2 || key[len(key)-1] != '"' {
			return "", errors.New("the key begins with a quote and does not end with one")
		}
		if key = key[1 : len(key)-1]; key == "" {
			return "", errNoKey
		}
	}
	if len(key) > longest {
		return "", fmt.Errorf("the key has %d bytes, at most %d are taken: use a UUID", len(key), longest)
	}
	for i := range len(key) {
		if b := key[i]; b <= ' ' || b > '~' || b == '"' || b == '\\' {
			return "", fmt.Errorf("byte %d of the key is not visible ASCII, or is a quote or backslash: use a UUID", i)
		}
	}
	return key, nil
}

// safe tells whether a method asks for no effect (RFC 9110, section 9.2.1). Its
// requests pass untouched.
func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "":
		return true
	}
	return false
}
