package idem_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
	"github.com/idem-go/idem/journal"
)

// TestAnIntentThatKillsItsOwnersIsParked tests that an intent with more than five
// takeovers is parked: Recover does not send it, a caller's own Do makes one attempt, and
// none once an owner has died in that too.
func TestAnIntentThatKillsItsOwnersIsParked(t *testing.T) {
	t.Parallel()
	g := clientkit.NewGated(t)
	path := testkit.NewPath(t)
	die := func() {
		p := testkit.StartChild(t, "Agent", clientkit.AgentArgs{Path: path, Server: g.URL, ID: "order-1", Cents: 500})
		p.Expect("open")
		p.Tell("begin")
		p.Hear()
		p.Tell("start")
		p.Expect("started")
		g.Next()
		p.Kill()
	}
	recover := func() (*idem.Client, *idem.Intent) {
		c, err := idem.Open(path, idem.WithPolicy("create_invoice", clientkit.Stripe()))
		require.NoError(t, err)
		report, err := c.Recover(testkit.Context(t))
		require.NoError(t, err)
		require.Equal(t, idem.Report{InDoubt: 1}, report)
		require.Empty(t, g.Arrived, "Recover sent it")
		in, err := c.Begin(testkit.Context(t), clientkit.Order(), testkit.NewInvoice(t, g.URL, 500))
		require.NoError(t, err)
		require.Zero(t, in.SafeUntil())
		return c, in
	}
	for range 1 + lifecycle.MaxTakeovers {
		die()
	}
	c, in := recover()
	got := clientkit.Doing(testkit.Context(t), in)
	g.Next().AnswerC <- clientkit.Step{Status: clientkit.Lost}
	var doubt *idem.InDoubtError
	require.ErrorAs(t, (<-got).Err, &doubt)
	require.Zero(t, doubt.SafeUntil)
	require.ErrorContains(t, doubt, "parked after 6 deaths")
	require.ErrorContains(t, doubt, "the same call sends it once more under the same key")
	require.Empty(t, g.Arrived, "it was sent twice")
	require.NoError(t, c.Close())

	die()
	c, in = recover()
	require.ErrorAs(t, clientkit.Do(testkit.Context(t), in).Err, &doubt)
	require.ErrorContains(t, doubt, "parked after 7 deaths")
	require.NotContains(t, doubt.Error(), "same call")
	require.Equal(t, idem.InDoubt, in.State())
	require.Empty(t, g.Arrived, "it was sent once more")
	require.NoError(t, c.Close())
	clientkit.CheckJournal(t, path)
}

// Recover leaves to a caller here what he began a moment ago and will carry out.
func TestRecoverLeavesWhatWasJustBegun(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
	in, err := c.Begin(testkit.Context(t), clientkit.Order(), w.Invoice(500))
	require.NoError(t, err)
	report, err := c.Recover(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{Skipped: 1, Reasons: map[string]int{"running here": 1}}, report)
	require.Empty(t, w.Server.Arrivals())
	got := clientkit.Do(testkit.Context(t), in)
	require.NoError(t, got.Err)
	require.False(t, got.Replayed)
}

// A recorded outcome never changes, whatever its callers do with what they were
// handed: each has bytes of its own.
func TestCallersShareNoMemory(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t))
	_, err := idem.NewTool(c, "charge", clientkit.Stripe(), func(context.Context, string, struct{ Order string }) (map[string]string, error) {
		return map[string]string{"receipt": "one"}, nil
	})
	require.NoError(t, err)
	input := json.RawMessage(`{"Order":"x"}`)
	for range 5 { // the first executes, the others read it, and find it kept
		out, err := c.Call(testkit.Context(t), "charge", "1", input)
		require.NoError(t, err)
		require.JSONEq(t, `{"receipt":"one"}`, string(out))
		clear(out)
	}
	var wg sync.WaitGroup // the race detector sees what two of them share
	for range 4 {
		wg.Go(func() {
			out, err := c.Call(testkit.Context(t), "charge", "1", input)
			if err == nil {
				clear(out)
			}
		})
	}
	wg.Wait()
}

// Likewise the headers of a reply, whether it is executed, read or kept.
func TestRepliesShareNoHeaders(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("charge", clientkit.Stripe()))
	var first string
	for i := range 5 {
		resp, err := c.Do(w.Invoice(500), idem.Operation{Name: "charge", ID: "1"})
		require.NoError(t, err)
		if i == 0 {
			first = resp.Header.Get("Content-Type")
		}
		require.Equal(t, first, resp.Header.Get("Content-Type"))
		for name := range resp.Header {
			resp.Header[name][0] = "written into"
		}
		testkit.BodyOf(t, resp)
	}
}

// An outcome that is kept in memory is everybody's: what its callers are handed is
// theirs. The race detector sees what two of them share, the others what stayed.
func TestCallersOfAKeptOutcomeShareNoMemory(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("charge", clientkit.Stripe()))
	op := idem.Operation{Name: "charge", ID: "1"}
	ask := func() (got []string, err error) {
		in, err := c.Begin(testkit.Context(t), op, w.Invoice(500))
		if err != nil {
			return nil, err
		}
		resp, err := in.Do(testkit.Context(t))
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(resp.Body)
		payload, outcome, events := in.Payload(), in.Outcome(), in.History()
		got = []string{resp.Header.Get("Content-Type"), string(body), string(payload), string(outcome), events[len(events)-1].Reason}
		for name := range resp.Header {
			resp.Header[name][0] = "written into"
		}
		clear(body)
		clear(payload)
		clear(outcome)
		clear(events)
		return got, err
	}
	first, err := ask()
	require.NoError(t, err)
	require.Equal(t, first[1], first[3])
	require.Equal(t, "amount=500&currency=usd", first[2])
	const callers, times = 4, 5
	found := make(chan any, callers*times)
	for range callers {
		go func() {
			for range times { // read, then kept
				if got, err := ask(); err != nil {
					found <- err
				} else {
					found <- got
				}
			}
		}()
	}
	for range callers * times {
		require.Equal(t, first, <-found)
	}
	require.Len(t, w.Server.Effects(), 1)
}

// The journal's own callers too: a record belongs to whoever was given it.
func TestJournalGivesRecordsAway(t *testing.T) {
	t.Parallel()
	j := clientkit.OpenJournal(t)
	op := idem.Operation{Name: "charge", ID: "1"}
	clientkit.Settled(t, j, clientkit.RecordOf("key-1", op), "body")
	for range 4 {
		obstacle, standing, err := j.Begin(testkit.Context(t), clientkit.RecordOf("key-2", op), journal.Checks{})
		require.NoError(t, err)
		require.Equal(t, journal.ConflictIdentity, obstacle)
		require.Equal(t, "payload", string(standing.Payload))
		require.Equal(t, "body", string(standing.Changes[0].Reply.Body))
		require.Equal(t, http.Header{"X-A": {"1"}}, standing.Changes[0].Reply.Header)
		require.Equal(t, "POST http://api.invalid/\n", string(standing.Head))
		clear(standing.Payload)
		clear(standing.Head)
		clear(standing.Changes[0].Reply.Body)
		standing.Changes[0].Reply.Header["X-A"][0] = "2"
		standing.Changes[0].Reply.Status = 500
	}
}

// The newest link of an identity is the one that stands in the way, also where the
// one before it succeeded and was asked for a moment ago.
func TestBeginMeetsTheNewestLink(t *testing.T) {
	t.Parallel()
	j := clientkit.UncheckedJournal(t, testkit.NewPath(t))
	op := idem.Operation{Name: "charge", ID: "1"}
	clientkit.Settled(t, j, clientkit.RecordOf("key-1", op), "body")
	_, standing, err := j.Begin(testkit.Context(t), clientkit.RecordOf("key-2", op), journal.Checks{})
	require.NoError(t, err)
	require.Equal(t, "key-1", standing.Key)
	next := clientkit.RecordOf("key-3", op)
	next.Previous = "key-1"
	obstacle, _, err := j.Begin(testkit.Context(t), next, journal.Checks{PreviousVersion: 1})
	require.NoError(t, err)
	require.Equal(t, journal.NoConflict, obstacle)
	_, standing, err = j.Begin(testkit.Context(t), clientkit.RecordOf("key-4", op), journal.Checks{})
	require.NoError(t, err)
	require.Equal(t, "key-3", standing.Key)
}
