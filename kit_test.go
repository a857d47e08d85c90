package idem_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// A child is this test binary, started again as a process of its own, so that it
// can be killed. Each method of children is one program that a child can be; any
// file may add some.
type children struct{}

// Agent is agentChild, a client that does what it is told.
func (children) Agent(l *testkit.Link) error {
	return clientkit.AgentChild(l, func(args clientkit.AgentArgs) []idem.Option {
		return []idem.Option{idem.WithIdleRelease(args.IdleRelease)}
	})
}

// Witness is witnessChild, which reads a journal as plain SQLite.
func (children) Witness(l *testkit.Link) error { return testkit.WitnessChild(l) }

func TestMain(m *testing.M) { testkit.Main(m, children{}) }

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

// The kit itself: one intent, one child.

func (children) Echo(l *testkit.Link) error {
	var greeting string
	if err := l.Args(&greeting); err != nil {
		return err
	}
	l.Say("%s %s", greeting, l.Hear())
	return nil
}

func TestKitChild(t *testing.T) {
	t.Parallel()
	p := testkit.StartChild(t, "Echo", "hello")
	p.Tell("world")
	p.Expect("hello world")
	p.Wait()
}

func TestKitWorld(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	resp, err := c.Do(w.Invoice(500), idem.Operation{Name: "create_invoice", ID: "order-1"})
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	require.Len(t, w.Server.Effects(), 1)
}
