package testkit

import (
	"net/http"

	"github.com/idem-go/idem/internal/fingerprint"
	"github.com/idem-go/idem/internal/wire"
	"github.com/idem-go/idem/journal"
)

// Payload takes a request apart as a client does whose contract has the key in its
// usual header, and returns what the request's fingerprint covers. ignore is as
// Policy.Ignore.
func Payload(req *http.Request, ignore ...string) (fingerprint.Payload, error) {
	options := wire.ReadOptions{Place: journal.KeyInHeader(journal.DefaultKeyHeader), MaxPayload: 16 << 20}
	return PayloadUnder(options, req, ignore...)
}

// PayloadUnder is Payload with options of the caller's own.
func PayloadUnder(options wire.ReadOptions, req *http.Request, ignore ...string) (fingerprint.Payload, error) {
	h, body, _, err := wire.Read(req, options)
	if err != nil {
		return fingerprint.Payload{}, err
	}
	return h.Payload(body, options.Place, ignore), nil
}
