package clientkit

import (
	"context"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"

	"github.com/idem-go/idem/internal/testkit"
)

// ReadJournal is every intent in a journal that no client here has open. Reading
// them checks every checksum.
func ReadJournal(t testing.TB, path string, opts ...idem.Option) []*idem.Intent {
	t.Helper()
	c, err := idem.Open(path, opts...)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	var all []*idem.Intent
	for in, err := range c.Intents(context.Background(), idem.Filter{}) {
		require.NoError(t, err)
		all = append(all, in)
	}
	return all
}

// CheckJournal opens a journal that no client in this process has open, and fails
// the test unless its rows keep what must always hold.
func CheckJournal(t testing.TB, path string, opts ...idem.Option) {
	t.Helper()
	if _, err := os.Stat(path); os.IsNotExist(err) {
		return
	}
	for _, suffix := range []string{"", "-wal", "-shm", ".owners"} {
		content, err := os.ReadFile(path + suffix)
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		require.NotContains(t, string(content), testkit.Secret, "a credential in %s", suffix)
		info, err := os.Stat(path + suffix)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "the mode of %s", suffix)
	}
	ReadJournal(t, path, opts...) // every checksum, by the library's own eyes
	for _, problem := range testkit.JournalProblems(t, path) {
		t.Errorf("the journal %s: %s", path, problem)
	}
}

// NewServer starts a server whose ledger must be in order when the test ends.
func NewServer(t testing.TB, opts ...idemtest.ServerOption) *idemtest.Server {
	s := idemtest.Start(t, opts...)
	t.Cleanup(func() { RequireNone(t, s.Check()) })
	return s
}

// NewClient opens a journal. When the test ends it closes the client and checks
// the journal.
func NewClient(t testing.TB, path string, opts ...idem.Option) *idem.Client {
	t.Helper()
	c, err := idem.Open(path, opts...)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		CheckJournal(t, path)
	})
	return c
}

// World is a server and the path of one journal. When the test ends, and every
// client and child is gone, the journal must fit the server's ledger.
type World struct {
	T      testing.TB
	Server *idemtest.Server
	Path   string

	// unchecked are the keys that the ledger and the journal do not agree about, on
	// purpose: a person resolved them to something that is not so.
	Unchecked []string
	// otherBytes says that what arrives is not the payload: the key is put into it.
	OtherBytes bool
}

func NewWorld(t testing.TB, opts ...idemtest.ServerOption) *World {
	t.Helper()
	w := &World{T: t, Server: idemtest.Start(t, opts...), Path: testkit.NewPath(t)}
	t.Cleanup(func() {
		if _, err := os.Stat(w.Path); err != nil {
			require.Empty(t, w.Server.Effects(), "effects without a journal")
			return
		}
		CheckJournal(t, w.Path)
		RequireNone(t, w.Server.Check())
		RequireNone(t, w.Server.CheckAgainst(w.known()))
	})
	return w
}

// Open opens the journal; the client is closed when the test ends.
func (w *World) Open(opts ...idem.Option) *idem.Client {
	w.T.Helper()
	return NewClient(w.T, w.Path, opts...)
}

// known is what the journal says, as the server's checker wants it. No client may
// have the journal open in this process.
func (w *World) known() []idemtest.KnownIntent {
	names := map[idem.State]string{idem.Pending: "pending", idem.Succeeded: "succeeded", idem.Failed: "failed", idem.InDoubt: "indoubt"}
	var known []idemtest.KnownIntent
	for _, in := range ReadJournal(w.T, w.Path) {
		k := idemtest.KnownIntent{
			Key: in.Key(), State: names[in.State()], Outcome: in.Outcome(), Body: in.PayloadHash(),
			Attempts: in.Attempts(), FirstSent: in.FirstSent(),
		}
		if w.OtherBytes {
			k.Body = ""
		}
		for _, key := range w.Unchecked {
			if key == k.Key {
				k.State, k.Outcome = "pending", nil
			}
		}
		known = append(known, k)
	}
	return known
}

// Invoice is a request that creates an invoice of so many cents.
func (w *World) Invoice(cents int) *http.Request {
	return testkit.NewInvoice(w.T, w.Server.URL(), cents)
}

// Quick tries often and hardly waits.
func Quick() idem.Retry {
	return idem.Retry{MaxAttempts: 4, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond, AttemptTimeout: 20 * time.Second}
}

// Stripe is a policy for the test server, whose attempts prove who they are when
// they are recovered too.
func Stripe() idem.Policy { return PolicyOf(idem.Stripe()) }

// PromisesNothing is the policy of a provider whose contract is zero.
func PromisesNothing() idem.Policy { return PolicyOf(idem.Contract{}) }

func PolicyOf(c idem.Contract) idem.Policy {
	return idem.Policy{Contract: c, Retry: Quick(), Authorize: func(r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+testkit.Secret)
		return nil
	}}
}

func RequireNone(t testing.TB, violations []idemtest.Violation) {
	t.Helper()
	for _, v := range violations {
		t.Errorf("the server's ledger: %v", v)
	}
}
