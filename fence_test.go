package idem_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// Only the living owner of an intent, or one that proved it dead, executes it; a
// stale owner's write is fenced off. A settled outcome never changes, and a proven
// success is recorded even by an owner that lost its claim.

// gated is a server whose every reply the test decides, when it likes.
type gated struct {
	t       testing.TB
	url     string
	arrived chan *held
}

// held is a request that waits for its reply.
type held struct {
	key, body string
	answer    chan step
}

func newGated(t testing.TB) *gated {
	g := &gated{t: t, arrived: make(chan *held, 64)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		h := &held{key: r.Header.Get("Idempotency-Key"), body: string(body), answer: make(chan step, 1)}
		g.arrived <- h
		select {
		case <-r.Context().Done():
		case now := <-h.answer:
			if now.status == lost {
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(now.status)
			fmt.Fprint(w, now.header.Get("body"))
		}
	}))
	t.Cleanup(s.Close)
	g.url = s.URL
	return g
}

// next waits for a request.
func (g *gated) next() *held {
	g.t.Helper()
	select {
	case h := <-g.arrived:
		return h
	case <-testCtx(g.t).Done():
		require.FailNow(g.t, "nothing arrived")
		return nil
	}
}

func (h *held) reply(status int, body string) {
	h.answer <- step{status: status, header: http.Header{http.CanonicalHeaderKey("body"): {body}}}
}

// robbed is an intent whose first owner, another process, has sent it and still
// waits for the reply, and looks dead to everybody else, as after its lock was
// lost. Its taker is a client in this process.
type robbed struct {
	*gated
	path   string
	key    string
	owner  *process
	first  *held
	client *idem.Client
}

func newRobbed(t *testing.T, p idem.Policy) *robbed {
	r := &robbed{gated: newGated(t), path: newPath(t)}
	r.owner = startChild(t, "Agent", agentArgs{Path: r.path, Server: r.url, ID: "order-1", Cents: 500})
	r.owner.expect("open")
	r.owner.tell("begin")
	r.key = r.owner.hear()
	r.owner.tell("start")
	r.owner.expect("started")
	r.first = r.next()
	newWitness(t, r.path).steal(r.key)
	r.client = newClient(t, r.path, idem.WithPolicy("create_invoice", p))
	return r
}

func (r *robbed) begin() *idem.Intent {
	r.t.Helper()
	in, err := r.client.Begin(context.Background(), order(), newInvoice(r.t, r.url, 500))
	require.NoError(r.t, err)
	require.Equal(r.t, r.key, in.Key())
	return in
}

// outcomes are the final states in a history, with what people should see.
func (r *robbed) told(reason string) (states []idem.State, notes []string) {
	r.t.Helper()
	in, err := r.client.Lookup(context.Background(), r.key)
	require.NoError(r.t, err)
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
	r.t.Helper()
	r.owner.tell("close")
	r.owner.expect("closed")
	r.owner.wait()
}

// TestNobodyWritesWhatALivingOwnerHas, not even a row of the right version: neither
// a claim nor a refusal nor a person's word. A proven success is the one exception.
func TestNobodyWritesWhatALivingOwnerHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.agent(agentArgs{ID: "order-1", Cents: 500})
	key := w.begin(p)
	j, err := idem.OpenJournal(w.path)
	require.NoError(t, err)
	defer func() { require.NoError(t, j.Close()) }()
	ctx := context.Background()
	at := time.Now().UTC()
	for _, c := range []idem.Change{
		{Kind: idem.Claimed, Summary: idem.Summary{State: idem.Pending}},
		{Kind: idem.AttemptStarted, Summary: idem.Summary{State: idem.Pending, MayHaveExecuted: true}},
		{Kind: idem.Released, Summary: idem.Summary{State: idem.Pending}},
		{Kind: idem.MarkedInDoubt, Summary: idem.Summary{State: idem.InDoubt, MayHaveExecuted: true}},
		{Kind: idem.Settled, Summary: idem.Summary{State: idem.Failed, Failure: idem.FailedPermanent}},
		{Kind: idem.Resolved, Summary: idem.Summary{State: idem.Succeeded}},
	} {
		c.Key, c.At, c.Version, c.WindowStart = key, at, 1, at
		standing, ok, err := j.Change(ctx, &c)
		require.NoError(t, err)
		require.False(t, ok, "kind %d was written", c.Kind)
		require.Equal(t, idem.OwnedByLive, standing.Owner)
		require.Empty(t, standing.Changes)
	}
	p.tell("do")
	require.Contains(t, p.hear(), "200 ", "the owner was not disturbed")
	require.Len(t, w.server.Arrivals(), 1)
}

// TestAStaleOwnersRefusalIsFenced: the owner that lost its claim learns of a
// refusal, which is not written; its caller gets the outcome of the one that took
// over.
func TestAStaleOwnersRefusalIsFenced(t *testing.T) {
	t.Parallel()
	r := newRobbed(t, stripe())
	taken := doing(context.Background(), r.begin())
	second := r.next()
	require.Equal(t, r.first.key, second.key)
	require.Equal(t, r.first.body, second.body)
	r.first.reply(http.StatusBadRequest, `{"late":true}`)
	second.reply(http.StatusOK, `{"taken":true}`)
	got := <-taken
	require.NoError(t, got.err)
	require.Equal(t, `{"taken":true}`, got.body)
	require.Equal(t, `200 {"taken":true}`, r.owner.hear())
	states, _ := r.told("")
	require.Equal(t, []idem.State{idem.Succeeded}, states)
	r.close()
	require.Empty(t, r.arrived, "sent again")
}

// TestAStaleOwnersRefusalDoesNotSettleADoubt: the one that took over is in doubt and
// has let go. The refusal is true of the first attempt only, so it is not written;
// the stale owner has to claim the intent anew, and send under the same key.
func TestAStaleOwnersRefusalDoesNotSettleADoubt(t *testing.T) {
	t.Parallel()
	p := stripe()
	p.Retry.MaxAttempts = 1
	r := newRobbed(t, p)
	taken := doing(context.Background(), r.begin())
	r.next().answer <- step{status: lost}
	require.ErrorIs(t, (<-taken).err, idem.ErrInDoubt)
	r.first.reply(http.StatusBadRequest, `{"late":true}`)
	third := r.next()
	require.Equal(t, r.first.key, third.key)
	require.Equal(t, r.first.body, third.body)
	third.reply(http.StatusOK, `{"third":true}`)
	require.Equal(t, `200 {"third":true}`, r.owner.hear())
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
			p := stripe()
			p.Retry.MaxAttempts = 1
			r := newRobbed(t, p)
			taken := doing(context.Background(), r.begin())
			second := r.next()
			r.first.reply(http.StatusOK, `{"late":true}`)
			require.Equal(t, `200 {"late":true}`, r.owner.hear())
			second.reply(reply, `{"taken":true}`)
			got := <-taken
			require.NoError(t, got.err)
			require.Equal(t, `{"late":true}`, got.body, "the first outcome, byte for byte")
			states, _ := r.told("")
			require.Equal(t, []idem.State{idem.Succeeded}, states)
			require.Equal(t, got.body, do(context.Background(), r.begin()).body)
			r.close()
			require.Empty(t, r.arrived, "sent again")
		})
	}
}

// TestASuccessThatContradictsAFailureIsLoud: a person has said that it did not
// happen, and then a reply proves that it did. What is settled stays; an audit row
// says so.
func TestASuccessThatContradictsAFailureIsLoud(t *testing.T) {
	t.Parallel()
	p := stripe()
	p.Retry.MaxAttempts = 1
	r := newRobbed(t, p)
	in := r.begin()
	taken := doing(context.Background(), in)
	r.next().answer <- step{status: lost}
	require.ErrorIs(t, (<-taken).err, idem.ErrInDoubt)
	require.NoError(t, r.client.Resolve(context.Background(), r.key, idem.Resolution{State: idem.Failed, Note: "Ada looked"}))
	r.first.reply(http.StatusOK, `{"late":true}`)
	require.Contains(t, r.owner.hear(), "did not happen")
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
	w := newWorld(t)
	p := w.agent(agentArgs{ID: "order-1", Cents: 500, NoContract: true})
	key := w.begin(p)
	newWitness(t, w.path).steal(key)
	c := w.open(idem.WithPolicy("create_invoice", promisesNothing()))
	got := do(context.Background(), w.mustBegin(c, 500))
	require.NoError(t, got.err)
	p.tell("do")
	require.Equal(t, "200 "+got.body, p.hear())
	require.Len(t, w.server.Arrivals(), 1)
}

// TestAStoppedOwnerLives: a process that was stopped, not killed, keeps its claim.
// Nobody else sends, by Do or by Recover, and nobody can resolve its intent.
func TestAStoppedOwnerLives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, w.server.Script(holdReply()))
	p := w.agent(agentArgs{ID: "order-1", Cents: 500})
	key := w.begin(p)
	p.tell("start")
	p.expect("started")
	require.NoError(t, w.server.WaitEffects(testCtx(t), 1))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGSTOP))
	c := w.open(idem.WithPolicy("create_invoice", stripe()))
	report, err := c.Recover(context.Background())
	require.NoError(t, err)
	require.Equal(t, idem.Report{Skipped: 1}, report)
	err = c.Resolve(context.Background(), key, idem.Resolution{State: idem.Failed, Note: "impatient"})
	require.ErrorContains(t, err, "living process")
	ctx := watch(testCtx(t), 6)
	got := doing(ctx, w.mustBegin(c, 500))
	ctx.waiting(t)
	require.Len(t, w.server.Arrivals(), 1)
	w.server.Release()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGCONT))
	theirs := p.hear()
	ours := <-got
	require.NoError(t, ours.err)
	require.Equal(t, theirs, "200 "+ours.body)
	require.Len(t, w.server.Arrivals(), 1)
}

// TestASettledOutcomeNeverChanges: neither by a person, nor by Recover, nor by
// another call, nor by another opener; it is handed out byte for byte.
func TestASettledOutcomeNeverChanges(t *testing.T) {
	t.Parallel()
	for _, cents := range []int{500, -500} {
		t.Run(fmt.Sprint(cents), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := w.open(idem.WithPolicy("create_invoice", stripe()))
			first := w.mustBegin(c, cents)
			resp, err := first.Do(context.Background())
			require.NoError(t, err)
			body := bodyOf(t, resp)
			for round := range 3 {
				for _, state := range []idem.State{idem.Succeeded, idem.Failed, idem.InDoubt} {
					err := c.Resolve(context.Background(), first.Key(), idem.Resolution{State: state})
					require.ErrorContains(t, err, "never changes")
				}
				report, err := c.Recover(context.Background())
				require.NoError(t, err)
				require.Zero(t, report)
				again, err := w.mustBegin(c, cents).Do(context.Background())
				require.NoError(t, err)
				require.Equal(t, resp.StatusCode, again.StatusCode)
				require.Equal(t, resp.Status, again.Status)
				require.Equal(t, body, bodyOf(t, again))
				for name, values := range resp.Header {
					if !strings.Contains(strings.ToLower(name), "cookie") {
						require.Equal(t, values, again.Header[name], name)
					}
				}
				if round == 1 {
					require.NoError(t, c.Close())
					c = w.open(idem.WithPolicy("create_invoice", stripe()))
				}
			}
			require.Len(t, w.server.Arrivals(), 1)
		})
	}
}
