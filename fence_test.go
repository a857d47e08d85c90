package idem_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
	"github.com/idem-go/idem/journal"
)

// Only the living owner of an intent, or one that proved it dead, executes it; a stale
// owner's write is refused. A settled outcome never changes, and a proven success is
// recorded even by an owner that lost its claim.

// robbed is an intent whose first owner, another process, has sent it and still
// waits for the reply, and looks dead to everybody else, as after its lock was
// lost. Its taker is a client in this process.
type robbed struct {
	*clientkit.Gated
	path   string
	key    string
	owner  *testkit.Process
	first  *clientkit.Held
	client *idem.Client
}

func newRobbed(t *testing.T, p idem.Policy) *robbed {
	r := &robbed{Gated: clientkit.NewGated(t), path: testkit.NewPath(t)}
	r.owner = testkit.StartChild(t, "Agent", clientkit.AgentArgs{Path: r.path, Server: r.URL, ID: "order-1", Cents: 500})
	r.owner.Expect("open")
	r.owner.Tell("begin")
	r.key = r.owner.Hear()
	r.owner.Tell("start")
	r.owner.Expect("started")
	r.first = r.Next()
	testkit.NewWitness(t, r.path).Steal(r.key)
	r.client = clientkit.NewClient(t, r.path, idem.WithPolicy("create_invoice", p))
	return r
}

func (r *robbed) begin() *idem.Intent {
	r.T.Helper()
	in, err := r.client.Begin(context.Background(), clientkit.Order(), testkit.NewInvoice(r.T, r.URL, 500))
	require.NoError(r.T, err)
	require.Equal(r.T, r.key, in.Key())
	return in
}

// outcomes are the final states in a history, with what people should see.
func (r *robbed) told(reason string) (states []idem.State, notes []string) {
	r.T.Helper()
	in, err := r.client.Lookup(context.Background(), r.key)
	require.NoError(r.T, err)
	for _, e := range in.History() {
		switch {
		case e.Reason == reason:
			notes = append(notes, e.Note)
		case e.Attempt == 0 && (e.State == idem.Succeeded || e.State == idem.Failed):
			states = append(states, e.State)
		}
	}
	return states, notes
}

func (r *robbed) close() {
	r.T.Helper()
	r.owner.Tell("close")
	r.owner.Expect("closed")
	r.owner.Wait()
}

// TestNobodyWritesWhatALivingOwnerHas, not even a row of the right version: neither
// a claim nor a refusal nor a person's word. A proven success is the one exception.
func TestNobodyWritesWhatALivingOwnerHas(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	p := w.Agent(clientkit.AgentArgs{ID: "order-1", Cents: 500})
	key := w.Begin(p)
	j, err := idem.OpenJournal(w.Path)
	require.NoError(t, err)
	defer func() { require.NoError(t, j.Close()) }()
	ctx := context.Background()
	at := time.Now().UTC()
	for _, c := range []journal.Change{
		{Kind: journal.Claimed, Summary: journal.Summary{State: idem.Pending}},
		{Kind: journal.AttemptStarted, Summary: journal.Summary{State: idem.Pending, MayHaveExecuted: true}},
		{Kind: journal.Released, Summary: journal.Summary{State: idem.Pending}},
		{Kind: journal.MarkedInDoubt, Summary: journal.Summary{State: idem.InDoubt, MayHaveExecuted: true}},
		{Kind: journal.Settled, Summary: journal.Summary{State: idem.Failed, Failure: journal.FailedPermanent}},
		{Kind: journal.Resolved, Summary: journal.Summary{State: idem.Succeeded}},
	} {
		c.Key, c.At, c.Version, c.WindowStart = key, at, 1, at
		conflict, standing, err := j.Change(ctx, &c)
		ok := conflict == journal.NoConflict
		require.NoError(t, err)
		require.False(t, ok, "kind %d was written", c.Kind)
		require.Equal(t, journal.OwnedByLive, standing.Owner)
		require.Empty(t, standing.Changes)
	}
	p.Tell("do")
	require.Contains(t, p.Hear(), "200 ", "the owner was not disturbed")
	require.Len(t, w.Server.Arrivals(), 1)
}

// TestAStaleOwnersRefusalIsFenced: the owner that lost its claim learns of a
// refusal, which is not written; its caller gets the outcome of the one that took
// over.
func TestAStaleOwnersRefusalIsFenced(t *testing.T) {
	t.Parallel()
	r := newRobbed(t, clientkit.Stripe())
	taken := clientkit.Doing(context.Background(), r.begin())
	second := r.Next()
	require.Equal(t, r.first.Key, second.Key)
	require.Equal(t, r.first.Body, second.Body)
	r.first.Reply(http.StatusBadRequest, `{"late":true}`)
	second.Reply(http.StatusOK, `{"taken":true}`)
	got := <-taken
	require.NoError(t, got.Err)
	require.Equal(t, `{"taken":true}`, got.Body)
	require.Equal(t, `200 {"taken":true}`, r.owner.Hear())
	states, _ := r.told("")
	require.Equal(t, []idem.State{idem.Succeeded}, states)
	r.close()
	require.Empty(t, r.Arrived, "sent again")
}

// TestAStaleOwnersRefusalDoesNotSettleADoubt: the one that took over is in doubt and
// has let go. The refusal is true of the first attempt only, so it is not written;
// the stale owner has to claim the intent anew, and send under the same key.
func TestAStaleOwnersRefusalDoesNotSettleADoubt(t *testing.T) {
	t.Parallel()
	p := clientkit.Stripe()
	p.Retry.MaxAttempts = 1
	r := newRobbed(t, p)
	taken := clientkit.Doing(context.Background(), r.begin())
	r.Next().AnswerC <- clientkit.Step{Status: clientkit.Lost}
	require.ErrorIs(t, (<-taken).Err, idem.ErrInDoubt)
	r.first.Reply(http.StatusBadRequest, `{"late":true}`)
	third := r.Next()
	require.Equal(t, r.first.Key, third.Key)
	require.Equal(t, r.first.Body, third.Body)
	third.Reply(http.StatusOK, `{"third":true}`)
	require.Equal(t, `200 {"third":true}`, r.owner.Hear())
	states, _ := r.told("")
	require.Equal(t, []idem.State{idem.Succeeded}, states)
	r.close()
}

// TestAStaleOwnersSuccessIsRecorded, although another one has claimed the intent
// and is sending it: a proven success is never lost. The taker's own reply then
// changes nothing, and everybody gets the first outcome.
func TestAStaleOwnersSuccessIsRecorded(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]int{"refused": http.StatusBadRequest, "unknown": http.StatusInternalServerError, "success": http.StatusOK} {
		t.Run("then "+name, func(t *testing.T) {
			t.Parallel()
			p := clientkit.Stripe()
			p.Retry.MaxAttempts = 1
			r := newRobbed(t, p)
			taken := clientkit.Doing(context.Background(), r.begin())
			second := r.Next()
			r.first.Reply(http.StatusOK, `{"late":true}`)
			require.Equal(t, `200 {"late":true}`, r.owner.Hear())
			second.Reply(reply, `{"taken":true}`)
			got := <-taken
			require.NoError(t, got.Err)
			require.Equal(t, `{"late":true}`, got.Body, "the first outcome, byte for byte")
			states, _ := r.told("")
			require.Equal(t, []idem.State{idem.Succeeded}, states)
			require.Equal(t, got.Body, clientkit.Do(context.Background(), r.begin()).Body)
			r.close()
			require.Empty(t, r.Arrived, "sent again")
		})
	}
}

// TestASuccessThatContradictsAFailureIsLoud: a person has said that it did not
// happen, and then a reply proves that it did. What is settled stays; an audit row
// says so.
func TestASuccessThatContradictsAFailureIsLoud(t *testing.T) {
	t.Parallel()
	p := clientkit.Stripe()
	p.Retry.MaxAttempts = 1
	r := newRobbed(t, p)
	in := r.begin()
	taken := clientkit.Doing(context.Background(), in)
	r.Next().AnswerC <- clientkit.Step{Status: clientkit.Lost}
	require.ErrorIs(t, (<-taken).Err, idem.ErrInDoubt)
	require.NoError(t, r.client.Resolve(context.Background(), r.key, idem.Resolution{State: idem.Failed, Note: "Ada looked"}))
	r.first.Reply(http.StatusOK, `{"late":true}`)
	require.Contains(t, r.owner.Hear(), "did not happen")
	states, notes := r.told("alarm")
	require.Equal(t, []idem.State{idem.Failed}, states, "a settled outcome never changes")
	require.Len(t, notes, 1)
	require.Contains(t, notes[0], "proved success")
	r.close()
}

// TestAStaleOwnerSendsNothingMore: where a mark comes before each attempt, the
// owner that lost its claim cannot write it.
func TestAStaleOwnerSendsNothingMore(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	p := w.Agent(clientkit.AgentArgs{ID: "order-1", Cents: 500, NoContract: true})
	key := w.Begin(p)
	testkit.NewWitness(t, w.Path).Steal(key)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.PromisesNothing()))
	got := clientkit.Do(context.Background(), w.MustBegin(c, 500))
	require.NoError(t, got.Err)
	p.Tell("do")
	require.Equal(t, "200 "+got.Body, p.Hear())
	require.Len(t, w.Server.Arrivals(), 1)
}

// TestASettledOutcomeNeverChanges: neither by a person, nor by Recover, nor by
// another call, nor by another opener; it is handed out byte for byte.
func TestASettledOutcomeNeverChanges(t *testing.T) {
	t.Parallel()
	for _, cents := range []int{500, -500} {
		t.Run(fmt.Sprint(cents), func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
			first := w.MustBegin(c, cents)
			resp, err := first.Do(context.Background())
			require.NoError(t, err)
			body := testkit.BodyOf(t, resp)
			for round := range 3 {
				for _, state := range []idem.State{idem.Succeeded, idem.Failed, idem.InDoubt} {
					err := c.Resolve(context.Background(), first.Key(), idem.Resolution{State: state})
					require.ErrorContains(t, err, "never changes")
				}
				report, err := c.Recover(context.Background())
				require.NoError(t, err)
				require.Zero(t, report)
				again, err := w.MustBegin(c, cents).Do(context.Background())
				require.NoError(t, err)
				require.Equal(t, resp.StatusCode, again.StatusCode)
				require.Equal(t, resp.Status, again.Status)
				require.Equal(t, body, testkit.BodyOf(t, again))
				for name, values := range resp.Header {
					if !strings.Contains(strings.ToLower(name), "cookie") {
						require.Equal(t, values, again.Header[name], name)
					}
				}
				if round == 1 {
					require.NoError(t, c.Close())
					c = w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
				}
			}
			require.Len(t, w.Server.Arrivals(), 1)
		})
	}
}

// A settled outcome never changes: a person settled what nobody had claimed, and the
// first owner, who looked dead, comes with a proven success. It is no outcome any
// more, and an audit row says so.
func TestAnOutcomeOfAnothersIsNotReplaced(t *testing.T) {
	t.Parallel()
	r := newRobbed(t, clientkit.Stripe())
	require.NoError(t, r.client.Resolve(context.Background(), r.key, idem.Resolution{State: idem.Failed, Note: "Ada looked"}))
	r.first.Reply(http.StatusOK, `{"late":true}`)
	require.Contains(t, r.owner.Hear(), "did not happen")
	states, notes := r.told("alarm")
	require.Equal(t, []idem.State{idem.Failed}, states)
	require.Len(t, notes, 1)
	require.Contains(t, notes[0], "proved success")
	r.close()
}

// Who takes an intent over has written that down before the first byte leaves: every
// other process sees who has it, and a second one does not take it over as well.
func TestATakeOverIsOnDiskBeforeItSends(t *testing.T) {
	t.Parallel()
	r := newRobbed(t, clientkit.Stripe())
	r.owner.Kill()
	taken := clientkit.Doing(context.Background(), r.begin())
	second := r.Next()
	const claimed = 1 // the kind of a claim's row
	require.Equal(t, []int64{claimed}, testkit.NewWitness(t, r.path).Read(r.key).Kinds)
	second.Reply(http.StatusOK, `{"taken":true}`)
	got := <-taken
	require.NoError(t, got.Err)
	require.Equal(t, `{"taken":true}`, got.Body)
}
