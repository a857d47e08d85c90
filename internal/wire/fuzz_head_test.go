package wire_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/wire"
	"github.com/idem-go/idem/journal"
)

// The head of a request that can be sent decodes to the same request.
func FuzzHeadRow(f *testing.F) {
	f.Add("POST", "https://api.example.com/v1/charges?a=b&c=d e", "Content-Type", "application/json", "api.example.com", []byte("POST https://x/\nHost: y\nA: b\n-header Authorization\n"))
	f.Add("", "http://user:secret@[::1]:80/a%2Fb?api_key=k#frag", "Authorization", "Bearer x", "", []byte("POST \nA: b"))
	f.Add("PATCH", "http://h?x=\": y\"", "-odd", "a: b", "other", []byte("\n-userinfo\n-query a: b\n"))
	f.Fuzz(func(t *testing.T, method, target, name, value, host string, row []byte) {
		if u, err := url.Parse(target); err == nil {
			req := &http.Request{Method: method, URL: u, Host: host, Header: http.Header{name: {value}}}
			options := wire.ReadOptions{Place: journal.KeyInHeader(journal.DefaultKeyHeader), MaxPayload: 1 << 20}
			if h, _, _, err := wire.Read(req, options); err == nil {
				first := h.Encode()
				again, err := wire.DecodeHead(first)
				require.NoError(t, err, "%q", first)
				require.Equal(t, string(first), string(again.Encode()))
			}
		}
		read, err := wire.DecodeHead(row)
		if err != nil {
			return
		}
		once := read.Encode()
		again, err := wire.DecodeHead(once)
		require.NoError(t, err, "%q", once)
		require.Equal(t, string(once), string(again.Encode()))
	})
}
