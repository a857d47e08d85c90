package idem_test

import (
	"testing"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// A name ends where its value begins: no two lists of fields are the same because
// they read the same when they are written one after the other.
func TestFieldsNeverRunTogether(t *testing.T) {
	t.Parallel()
	const url = "https://api.example.com/v1/charges"
	for _, fields := range [][2]string{
		{"a=bc", "ab=c"}, {"a=b&c=d", "a=bc&d="}, {"a=1&b=2", "a=&1b=2"}, {"to=ann&to=bob", "to=annto&bob="},
	} {
		require.False(t, alike(t, sent{url: url + "?" + fields[0]}, sent{url: url + "?" + fields[1]}, idem.Policy{}), "queries %q", fields)
		require.False(t, alike(t, sent{url: url, contentType: asForm, body: fields[0]},
			sent{url: url, contentType: asForm, body: fields[1]}, idem.Policy{}), "forms %q", fields)
	}
}
