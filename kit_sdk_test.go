package idem_test

import (
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
)

// sdk is a client as SDKs have one: it makes its own requests, puts a random key on
// each, and tries again by itself.
type sdk struct {
	http  *http.Client
	url   string
	tries int
}

func newSDK(c *idem.Client, url string, tries int) sdk {
	return sdk{&http.Client{Transport: c.Transport(nil)}, url, tries}
}

// post creates something of a kind: "invoices", "charges".
func (s sdk) post(ctx context.Context, kind, form string) (status int, body string, err error) {
	for range s.tries {
		status, body, err = s.once(ctx, http.MethodPost, kind, form)
		if err == nil && status < 500 {
			break
		}
	}
	return status, body, err
}

func (s sdk) once(ctx context.Context, method, path, form string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.url+"/v1/"+path, strings.NewReader(form))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer "+testkit.Secret)
	req.Header.Set("Idempotency-Key", uuid.NewString())
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// The forms that SDKs send here.
const (
	fiveDollars = "amount=500&currency=usd"
	tenDollars  = "amount=1000&currency=usd"
)
