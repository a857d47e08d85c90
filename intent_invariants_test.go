package idem_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// The promises that hold at all times, one test each; those that need processes to
// be killed are in crash_test.go, those about clocks in window_test.go.

// TestNothingIsSentBeforeItIsOnDisk: no byte of a side effect leaves before its
// intent, key and exact payload are durable. When a request arrives, another
// process reads them in the file; without a contract it finds the mark of this
// very attempt too.
func TestNothingIsSentBeforeItIsOnDisk(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]idem.Policy{"keys kept": clientkit.Stripe(), "no contract": clientkit.PromisesNothing()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := testkit.NewPath(t)
			other := testkit.NewWitness(t, path)
			var mu sync.Mutex
			var arrived []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Errorf("reading the request: %v", err)
				}
				key := r.Header.Get("Idempotency-Key")
				mu.Lock()
				defer mu.Unlock()
				arrived = append(arrived, key)
				on := other.Read(key)
				switch {
				case on == nil:
					t.Errorf("attempt %d of key %q arrived, and the journal knows nothing of it", len(arrived), key)
				case on.Payload != string(body) || !strings.HasPrefix(on.Head, "POST http://"+r.Host+r.URL.Path+"\n"):
					t.Errorf("what arrived is not what is on disk: %q", on.Payload)
				case on.Outcomes > 0:
					t.Errorf("sent although it is settled")
				case name == "no contract" && (len(on.Kinds) == 0 || on.Kinds[len(on.Kinds)-1] != testkit.RowMarked):
					t.Errorf("attempt %d arrived, and no mark says so: %v", len(arrived), on.Kinds)
				}
				if len(arrived) < 3 {
					w.WriteHeader(http.StatusTooManyRequests)
				}
			}))
			defer server.Close()
			c := clientkit.NewClient(t, path, idem.WithPolicy("create_invoice", p))
			in, err := c.Begin(context.Background(), clientkit.Order(), testkit.NewInvoice(t, server.URL, 500))
			require.NoError(t, err)
			require.NotNil(t, other.Read(in.Key()), "Begin returned before it was on disk")
			got := clientkit.Do(context.Background(), in)
			require.NoError(t, got.Err)
			require.Equal(t, []string{in.Key(), in.Key(), in.Key()}, arrived)
		})
	}
}

// TestAJournalThatCannotBeWrittenSendsNothing: whichever row cannot be written,
// Begin's, the mark's or the claim's. When the file is back, all goes on.
func TestAJournalThatCannotBeWrittenSendsNothing(t *testing.T) {
	t.Parallel()
	move := func(t *testing.T, from, to string) {
		t.Helper()
		require.NoError(t, os.Rename(from, to))
	}
	t.Run("begin", func(t *testing.T) {
		t.Parallel()
		w := clientkit.NewWorld(t)
		c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
		move(t, w.Path, w.Path+".away")
		_, err := c.Do(w.Invoice(500), clientkit.Order())
		require.ErrorContains(t, err, w.Path)
		require.NotErrorIs(t, err, idem.ErrInDoubt)
		require.Empty(t, w.Server.Arrivals())
		move(t, w.Path+".away", w.Path)
		_, err = c.Do(w.Invoice(500), clientkit.Order())
		require.NoError(t, err)
		require.Len(t, w.Server.Effects(), 1)
	})
	t.Run("mark", func(t *testing.T) {
		t.Parallel()
		w := clientkit.NewWorld(t)
		c := w.Open(idem.WithPolicy("create_invoice", clientkit.PromisesNothing()))
		in := w.MustBegin(c, 500)
		move(t, w.Path, w.Path+".away")
		got := clientkit.Do(context.Background(), in)
		require.ErrorContains(t, got.Err, "nothing was sent")
		require.NotErrorIs(t, got.Err, idem.ErrInDoubt)
		require.Empty(t, w.Server.Arrivals())
		move(t, w.Path+".away", w.Path)
		require.NoError(t, clientkit.Do(context.Background(), w.MustBegin(c, 500)).Err)
		require.Len(t, w.Server.Effects(), 1)
	})
	t.Run("claim", func(t *testing.T) {
		t.Parallel()
		w := clientkit.NewWorld(t)
		c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
		require.NoError(t, w.Server.Script(faults(idemtest.Unauthorized401)...))
		in := w.MustBegin(c, 500)
		require.Equal(t, http.StatusUnauthorized, clientkit.Do(context.Background(), in).Status)
		move(t, w.Path, w.Path+".away")
		got := clientkit.Do(context.Background(), in)
		require.ErrorContains(t, got.Err, "nothing was sent")
		require.Len(t, w.Server.Arrivals(), 1)
		move(t, w.Path+".away", w.Path)
		require.NoError(t, clientkit.Do(context.Background(), w.MustBegin(c, 500)).Err)
		require.Len(t, w.Server.Effects(), 1)
	})
}

// TestOneIntentOneKeyOnePayload: through passing refusals, lost replies, releases,
// reopenings, other callers, another client on the same file and a policy that
// changed meanwhile, every attempt carries the same key and the same bytes.
func TestOneIntentOneKeyOnePayload(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	u := newUnreachable(t)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()), idem.WithTransport(u))
	key := w.MustBegin(c, 500).Key()
	again := func(c *idem.Client, want error, kinds ...idemtest.FaultKind) {
		t.Helper()
		require.NoError(t, w.Server.Script(faults(kinds...)...))
		in := w.MustBegin(c, 500)
		require.Equal(t, key, in.Key())
		got := clientkit.Do(context.Background(), in)
		if want == nil {
			require.NoError(t, got.Err)
		} else {
			require.ErrorIs(t, got.Err, want)
		}
	}
	again(c, idem.ErrNotSent)
	u.down.Store(false)
	again(c, nil, idemtest.Unauthorized401)
	again(c, nil, idemtest.TooManyBare, idemtest.TooManyBare, idemtest.Forbidden403)
	require.NoError(t, c.Close())
	other := clientkit.Stripe()
	other.Contract.NewKey = func() string { return "made-by-another-policy" }
	other.Contract.Header = "X-Another-Place"
	c = w.Open(idem.WithPolicy("create_invoice", other))
	again(c, idem.ErrInDoubt, idemtest.DropAfter, idemtest.Proxy502After, idemtest.DropAfter, idemtest.ResetAfter)
	w.RefusesOther(c, key)
	again(c, nil, idemtest.CutBody, idemtest.StaleAfter)
	w.RefusesOther(c, key)
	hashes := map[string]bool{}
	for _, a := range w.Server.Arrivals() {
		require.Equal(t, key, a.Key)
		hashes[a.BodyHash] = true
	}
	require.Len(t, hashes, 1)
	require.Len(t, w.Server.Effects(), 1)
}

// TestAKeyIsNeverGivenTwice: one key, one intent. A contract whose NewKey makes a
// key that another intent owns is refused, whatever the identity; nothing is sent.
func TestAKeyIsNeverGivenTwice(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	p := clientkit.Stripe()
	p.Contract.NewKey = func() string { return "always-the-same" }
	c := w.Open(idem.WithPolicy("create_invoice", p))
	resp, err := c.Do(w.Invoice(-500), clientkit.Order())
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	for _, op := range []idem.Operation{clientkit.Order(), {Name: "create_invoice", ID: "order-2"}, {Name: "create_invoice"}} {
		_, err := c.Do(w.Invoice(600), op)
		require.ErrorContains(t, err, "always-the-same")
		require.ErrorContains(t, err, "NewKey")
	}
	require.Len(t, w.Server.Arrivals(), 1)
}

// TestFailedMeansThatNothingHappened: under every fault at random, an intent that
// is said to have failed has no effect at the server, and one that succeeded has
// one, whose reply is its outcome. The world's own check at the end says so; the
// same calls again settle what was left open.
func TestFailedMeansThatNothingHappened(t *testing.T) {
	t.Parallel()
	const intents = 150
	w := clientkit.NewWorld(t, idemtest.WithRandomFaults(7, 0.6, mostFaults()...))
	p := clientkit.Stripe()
	p.Retry.MaxAttempts = 3
	c := w.Open(idem.WithPolicy("create_invoice", p), idem.WithMaxReply(1<<20))
	states := map[idem.State]int{}
	for round := range 3 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		for i := range intents {
			wg.Go(func() {
				in, err := c.Begin(context.Background(), idem.Operation{Name: "create_invoice", ID: fmt.Sprint(i)}, w.Invoice(100+i))
				if err != nil {
					t.Errorf("begin %d: %v", i, err)
					return
				}
				clientkit.Do(context.Background(), in)
				mu.Lock()
				defer mu.Unlock()
				if round == 0 {
					states[in.State()]++
				}
			})
		}
		wg.Wait()
	}
	t.Logf("after the first round: %v", states)
	for _, state := range []idem.State{idem.Succeeded, idem.Failed, idem.InDoubt} {
		require.NotZero(t, states[state], "no intent was %v, so this tests little", state)
	}
}

// mostFaults is every fault that does not take long, but for some: an endless or a
// huge reply has tests of its own. A key that expires early is the far side's broken
// promise.
func mostFaults(but ...idemtest.FaultKind) []idemtest.FaultKind {
	but = append(but, idemtest.EndlessBody, idemtest.BigBody, idemtest.HugeHeaders, idemtest.KeyExpired)
	return slices.DeleteFunc(idemtest.FaultKinds(), func(k idemtest.FaultKind) bool { return slices.Contains(but, k) })
}

// keylessFaults are those for a server that knows no keys: without two executions
// by the network's or the server's own doing, and without a success that only the
// record of a key tells of.
func keylessFaults() []idemtest.FaultKind {
	return mostFaults(idemtest.Duplicate, idemtest.InFlightOverlap, idemtest.Empty200)
}

// TestWithoutAContractThereIsAtMostOneEffect: what might have been sent is never
// sent again by itself, however often it is asked for. The server does not know
// keys at all, so each execution is an effect.
func TestWithoutAContractThereIsAtMostOneEffect(t *testing.T) {
	t.Parallel()
	const intents = 60
	w := clientkit.NewWorld(t, idemtest.IgnoreKeys(), idemtest.WithRandomFaults(11, 0.7, keylessFaults()...))
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.PromisesNothing()))
	for range 3 {
		var wg sync.WaitGroup
		for i := range intents {
			wg.Go(func() {
				in, err := c.Begin(context.Background(), idem.Operation{Name: "create_invoice", ID: fmt.Sprint(i)}, w.Invoice(100+i))
				if err != nil {
					t.Errorf("begin %d: %v", i, err)
					return
				}
				clientkit.Do(context.Background(), in)
			})
		}
		wg.Wait()
	}
	effects := map[string]int{}
	for _, e := range w.Server.Effects() {
		effects[e.Key]++
		require.Equal(t, 1, effects[e.Key], "%v", w.Server.Ledger().ArrivalsOf(e.Key))
	}
	require.Greater(t, len(effects), intents/2)
}

// TestNoCredentialIsKept: neither in the journal nor in a log, neither the
// caller's nor the far side's.
func TestNoCredentialIsKept(t *testing.T) {
	t.Parallel()
	const hush = "hush-7d1f"
	var got http.Header
	var query string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, query = r.Header.Clone(), r.URL.RawQuery
		w.Header().Set("Set-Cookie", "session="+hush)
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	path := testkit.NewPath(t)
	var log strings.Builder
	p := idem.Policy{Contract: idem.Stripe(), Retry: clientkit.Quick(), Redact: []string{"ticket"}}
	c := clientkit.NewClient(t, path, idem.WithPolicy("create_invoice", p), idem.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	req := testkit.NewInvoice(t, strings.Replace(server.URL, "http://", "http://ada:"+hush+"@", 1), 500)
	req.URL.RawQuery = "api_key=" + hush + "&ticket=" + hush + "&page=2"
	req.Header.Set("Authorization", "Bearer "+hush)
	req.Header.Set("Cookie", "session="+hush)
	req.Header.Set("X-Api-Key", hush)
	resp, err := c.Do(req, clientkit.Order())
	require.NoError(t, err)
	require.Equal(t, "session="+hush, resp.Header.Get("Set-Cookie"), "the caller who waits gets the whole reply")
	require.Equal(t, "Bearer "+hush, got.Get("Authorization"))
	require.Equal(t, "session="+hush, got.Get("Cookie"))
	require.Equal(t, hush, got.Get("X-Api-Key"))
	require.Contains(t, query, "api_key="+hush)
	require.Contains(t, query, "page=2")
	for _, suffix := range []string{"", "-wal", "-shm", ".owners"} {
		content, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		require.NotContains(t, string(content), hush, suffix)
	}
	require.Contains(t, log.String(), "failed")
	require.NotContains(t, log.String(), hush)
}
