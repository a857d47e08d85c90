package memjournal_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/examples/memjournal"
	"github.com/idem-go/idem/journal"
)

// server is an HTTP server that notes the key of each request, and answers with it.
type server struct {
	*httptest.Server
	mu   sync.Mutex
	keys []string
}

func newServer(t *testing.T) *server {
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		s.mu.Lock()
		s.keys = append(s.keys, key)
		s.mu.Unlock()
		_, _ = io.WriteString(w, `{"key":"`+key+`"}`)
	}))
	t.Cleanup(s.Close)
	return s
}

// seen returns the keys of all requests.
func (s *server) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.keys...)
}

// counting counts the calls that the client makes.
type counting struct {
	*memjournal.Journal
	begins, lookups atomic.Int32
	keyError        error
}

// Begin implements journal.Journal.
func (c *counting) Begin(ctx context.Context, r *journal.Record, checks journal.Checks) (journal.Conflict, *journal.Record, error) {
	c.begins.Add(1)
	return c.Journal.Begin(ctx, r, checks)
}

// Cached implements journal.Cacher.
func (c *counting) Cached(op journal.Operation) *journal.Record {
	c.lookups.Add(1)
	return c.Journal.Cached(op)
}

// NewKey implements journal.KeyMaker.
func (c *counting) NewKey(op journal.Operation) (string, error) {
	if c.keyError != nil {
		return "", c.keyError
	}
	return c.Journal.NewKey(op)
}

func newJournal() *counting { return &counting{Journal: memjournal.New().Open()} }

// newClient returns a client with a policy for charge.
func newClient(t *testing.T, j journal.Journal, contract idem.Contract, options ...idem.Option) *idem.Client {
	t.Helper()
	options = append(options, idem.WithPolicy("charge", idem.Policy{Contract: contract}))
	c, err := idem.New(j, options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// charge sends a charge, and returns the body of the reply.
func charge(t *testing.T, c *idem.Client, s *server, id, payload string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/charges", strings.NewReader(payload))
	require.NoError(t, err)
	resp, err := c.Do(req, idem.Operation{Name: "charge", ID: id})
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body), nil
}

// mustCharge is charge without an error.
func mustCharge(t *testing.T, c *idem.Client, s *server, id string) string {
	t.Helper()
	body, err := charge(t, c, s, id, "amount=500")
	require.NoError(t, err)
	return body
}

// TestNew_KeyMaker_ChoosesKeys: the client sends the keys that the journal makes.
func TestNew_KeyMaker_ChoosesKeys(t *testing.T) {
	t.Parallel()
	s, j := newServer(t), newJournal()
	c := newClient(t, j, idem.Stripe())
	mustCharge(t, c, s, "order-1")
	mustCharge(t, c, s, "order-2")
	keys := s.seen()
	require.Len(t, keys, 2)
	require.NotEqual(t, keys[0], keys[1])
	for _, key := range keys {
		require.Regexp(t, "^mem-[A-Z2-7]{26}$", key)
		r, err := j.Get(t.Context(), key)
		require.NoError(t, err)
		require.NotNil(t, r)
	}
}

// TestNew_ContractNewKey_TakesPrecedence: a contract that makes keys is asked instead of
// the journal.
func TestNew_ContractNewKey_TakesPrecedence(t *testing.T) {
	t.Parallel()
	contract := idem.Stripe()
	contract.NewKey = func() string { return "from-the-contract" }
	s := newServer(t)
	mustCharge(t, newClient(t, newJournal(), contract), s, "order-1")
	require.Equal(t, []string{"from-the-contract"}, s.seen())
}

// TestNew_KeyMakerFails_NothingIsRecordedOrSent: an error of NewKey is the error of the
// call.
func TestNew_KeyMakerFails_NothingIsRecordedOrSent(t *testing.T) {
	t.Parallel()
	s, j := newServer(t), newJournal()
	j.keyError = errors.New("no more keys")
	c := newClient(t, j, idem.Stripe())
	_, err := charge(t, c, s, "order-1", "amount=500")
	require.ErrorIs(t, err, j.keyError)
	require.ErrorContains(t, err, "nothing was sent")
	require.Empty(t, s.seen())
	require.Zero(t, j.begins.Load())
}

// TestNew_Cacher_IsAskedBeforeBegin: what Cached returns is replayed without a Begin.
// Begin is called for what it does not return, and for another payload.
func TestNew_Cacher_IsAskedBeforeBegin(t *testing.T) {
	t.Parallel()
	s, j := newServer(t), newJournal()
	c := newClient(t, j, idem.Stripe())
	first := mustCharge(t, c, s, "order-1")
	require.EqualValues(t, 1, j.lookups.Load())
	require.EqualValues(t, 1, j.begins.Load())

	for range 3 {
		require.Equal(t, first, mustCharge(t, c, s, "order-1"))
	}
	require.EqualValues(t, 4, j.lookups.Load())
	require.EqualValues(t, 1, j.begins.Load())

	_, err := charge(t, c, s, "order-1", "amount=501")
	require.ErrorIs(t, err, idem.ErrMismatch)
	require.EqualValues(t, 5, j.lookups.Load())
	require.EqualValues(t, 2, j.begins.Load())
	require.Len(t, s.seen(), 1)

	stats, err := c.Stats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, stats.ByReason[journal.ReasonReplayed])
}

// plain is a journal without the optional interfaces: embedding the interface hides
// what else the journal implements.
type plain struct{ journal.Journal }

// TestNew_NoOptionalInterfaces_UUIDsAndBegin: without a KeyMaker keys are random UUIDs,
// without a Cacher each call begins.
func TestNew_NoOptionalInterfaces_UUIDsAndBegin(t *testing.T) {
	t.Parallel()
	s, j := newServer(t), newJournal()
	c := newClient(t, plain{j}, idem.Stripe())
	first := mustCharge(t, c, s, "order-1")
	for range 3 {
		require.Equal(t, first, mustCharge(t, c, s, "order-1"))
	}
	require.EqualValues(t, 4, j.begins.Load())
	require.Zero(t, j.lookups.Load())
	keys := s.seen()
	require.Len(t, keys, 1)
	require.Regexp(t, "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", keys[0])
}

// TestNew_Encryption_DoesNotUseCacher: what the journal holds in memory is sealed, so
// each call begins. Keys are not sealed: they are still the journal's.
func TestNew_Encryption_DoesNotUseCacher(t *testing.T) {
	t.Parallel()
	block, err := aes.NewCipher(bytes.Repeat([]byte{1}, 32))
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	s, j := newServer(t), newJournal()
	c := newClient(t, j, idem.Stripe(), idem.WithEncryption(aead))
	first := mustCharge(t, c, s, "order-1")
	for range 3 {
		require.Equal(t, first, mustCharge(t, c, s, "order-1"))
	}
	require.EqualValues(t, 4, j.begins.Load())
	require.Zero(t, j.lookups.Load())
	keys := s.seen()
	require.Len(t, keys, 1)
	require.Regexp(t, "^mem-", keys[0])
	sealed, err := j.Get(t.Context(), keys[0])
	require.NoError(t, err)
	require.NotContains(t, string(sealed.Payload), "amount=500")
}

// TestKill_OwnerDies_AnotherClientRecovers: what a killed opener left is sent by the
// next client, under the same key and once.
func TestKill_OwnerDies_AnotherClientRecovers(t *testing.T) {
	t.Parallel()
	s, store := newServer(t), memjournal.New()
	j := store.Open()
	dying, err := idem.New(j, idem.WithPolicy("charge", idem.Policy{Contract: idem.Stripe()}))
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/charges", strings.NewReader("amount=500"))
	require.NoError(t, err)
	_, err = dying.Begin(t.Context(), idem.Operation{Name: "charge", ID: "order-1"}, req)
	require.NoError(t, err)
	require.NoError(t, j.Kill())
	t.Cleanup(func() { _ = dying.Close() }) // a killed process runs nothing; this one has goroutines to end

	next := newClient(t, store.Open(), idem.Stripe())
	_, err = next.Recover(t.Context())
	require.NoError(t, err)
	keys := s.seen()
	require.Len(t, keys, 1)
	require.Equal(t, `{"key":"`+keys[0]+`"}`, mustCharge(t, next, s, "order-1"))
	require.Len(t, s.seen(), 1)
}
