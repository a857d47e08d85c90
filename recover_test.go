package idem_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// Processes that are killed with SIGKILL, and what the next one makes of it.

// TestEveryAttemptIsInTheJournal: each attempt that reached the wire is in the
// journal by itself, or covered by a pending intent that says that it may have been
// sent, and since when.
func TestEveryAttemptIsInTheJournal(t *testing.T) {
	t.Parallel()
	t.Run("settled", func(t *testing.T) {
		t.Parallel()
		w := clientkit.NewWorld(t)
		require.NoError(t, w.Server.Script(faults(idemtest.TooManyBare, idemtest.DropBefore, idemtest.Proxy502After)...))
		c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
		in := w.MustBegin(c, 500)
		require.NoError(t, clientkit.Do(context.Background(), in).Err)
		require.NoError(t, c.Close())
		on := clientkit.ReadJournal(t, w.Path)
		require.Len(t, on, 1)
		require.Equal(t, []int{429, 0, 502, 200}, attemptsOf(on[0]))
		require.Equal(t, 4, on[0].Attempts())
		require.Len(t, w.Server.Arrivals(), 4)
		require.False(t, on[0].FirstSent().After(w.Server.Arrivals()[0].At))
	})
	for _, args := range []clientkit.AgentArgs{{ID: "order-1", Cents: 500}, {ID: "order-1", Cents: 500, NoContract: true}} {
		t.Run("killed, "+map[bool]string{true: "no contract", false: "keys kept"}[args.NoContract], func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			require.NoError(t, w.Server.Script(faults(idemtest.TooManyBare, idemtest.TooManyBare)...))
			key := ""
			if args.NoContract {
				require.NoError(t, w.Server.Script(clientkit.HoldReply()))
				p := w.Agent(args)
				key = w.Begin(p)
				p.Tell("start")
				p.Expect("started")
				require.NoError(t, w.Server.WaitArrivals(testkit.Context(t), 3))
				p.Kill()
			} else {
				key = w.KillAfterEffect(args)
			}
			require.Len(t, w.Server.Arrivals(), 3)
			c := w.Open(idem.WithPolicy("create_invoice", clientkit.PolicyFor(args)))
			in, err := c.Lookup(context.Background(), key)
			require.NoError(t, err)
			require.Equal(t, idem.Pending, in.State())
			require.NotZero(t, in.FirstSent())
			require.False(t, in.FirstSent().After(w.Server.Arrivals()[0].At))
			if args.NoContract {
				require.Equal(t, []int{429, 429}, attemptsOf(in), "the mark of the third carries what is known of the first two")
			}
		})
	}
}

// attemptsOf is the status of each attempt in a history.
func attemptsOf(in *idem.Intent) (statuses []int) {
	for _, e := range in.History() {
		if e.Attempt > 0 {
			statuses = append(statuses, e.Status)
		}
	}
	return statuses
}

// workArgs is what a worker works on: orders first, first+1, … round to first.
type workArgs struct {
	Path, Server  string
	NoContract    bool
	Orders, First int
	SkipRecover   bool
}

// Worker recovers what others left, then asks for every order once, whatever
// comes of it, says so, and waits to be told to end.
func (children) Worker(l *testkit.Link) error {
	var args workArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	ctx := context.Background()
	c, err := idem.Open(args.Path, idem.WithPolicy("create_invoice", clientkit.PolicyFor(clientkit.AgentArgs{NoContract: args.NoContract})))
	if err != nil {
		return err
	}
	if !args.SkipRecover {
		if _, err := c.Recover(ctx); err != nil {
			return err
		}
	}
	for i := range args.Orders {
		if err := askFor(ctx, c, args.Server, (args.First+i)%args.Orders); err != nil && !errors.Is(err, idem.ErrInDoubt) && !errors.Is(err, idem.ErrNotSent) {
			return err
		}
	}
	l.Say("done")
	l.Hear()
	return c.Close()
}

// askFor asks for one order. Its amount says which it is, whatever its key.
func askFor(ctx context.Context, c *idem.Client, server string, i int) error {
	req, err := testkit.InvoiceRequest(server, 1000+i)
	if err != nil {
		return err
	}
	_, err = c.Do(req, idem.Operation{Name: "create_invoice", ID: fmt.Sprint("order-", i)})
	return err
}

// storm lets three workers ask for the same orders at once, and kills one of them
// every few arrivals, when its replies are lost, cut, late or on their way.
func storm(w *clientkit.World, seed uint64, noContract bool, orders, kills int) {
	w.T.Helper()
	random := rand.New(rand.NewPCG(seed, seed))
	args := workArgs{Path: w.Path, Server: w.Server.URL(), NoContract: noContract, Orders: orders}
	start := func(n int) *testkit.Process {
		args.First = n * orders / 3
		args.SkipRecover = random.IntN(2) == 0
		return testkit.StartChild(w.T, "Worker", args)
	}
	workers := []*testkit.Process{start(0), start(1), start(2)}
	arrivals := 0
	for range kills {
		arrivals += 1 + random.IntN(2*orders/kills-1) // they all come: each order arrives once at least
		require.NoError(w.T, w.Server.WaitArrivals(testkit.Context(w.T), arrivals))
		n := random.IntN(len(workers))
		workers[n].Kill()
		workers[n] = start(n)
	}
	for _, p := range workers {
		p.Expect("done")
		p.Tell("end")
		p.Wait()
	}
}

// TestAnyNumberOfCrashesMakeOneEffect: with a contract that keeps its promise, any
// number of crashes, callers and processes make one effect of each order, and the
// outcome that is on record is the server's.
func TestAnyNumberOfCrashesMakeOneEffect(t *testing.T) {
	t.Parallel()
	const orders, kills = 45, 12
	const seed = 3
	w := clientkit.NewWorld(t, idemtest.WithRandomFaults(seed, 0.4, mostFaults(idemtest.Error500Stored)...)) // which keeps an order from ever being made
	storm(w, seed, false, orders, kills)
	p := clientkit.Stripe()
	p.Reconcile = func(_ context.Context, in *idem.Intent) (idem.Resolution, error) { // after a stored 500 with an effect
		if len(w.Server.EffectsOf(in.Key())) == 0 {
			return idem.Resolution{State: idem.InDoubt}, nil
		}
		return idem.Resolution{State: idem.Succeeded, Result: []byte(w.Object(in.Key())), Note: "asked"}, nil
	}
	c := w.Open(idem.WithPolicy("create_invoice", p))
	ctx := testkit.Context(t)
	_, err := c.Recover(ctx)
	require.NoError(t, err)
	for i := range orders {
		op := idem.Operation{Name: "create_invoice", ID: fmt.Sprint("order-", i)}
		for in := (*idem.Intent)(nil); in == nil || in.State() != idem.Succeeded; {
			require.NoError(t, ctx.Err())
			in, err = c.Begin(ctx, op, w.Invoice(1000+i))
			require.NoError(t, err)
			clientkit.Do(ctx, in)
		}
	}
	require.NoError(t, c.Close())
	require.Len(t, clientkit.ReadJournal(t, w.Path), orders)
	effects := w.EffectsByAmount()
	require.Len(t, effects, orders)
	for amount, n := range effects {
		require.Equal(t, 1, n, "the order of %s", amount)
	}
}

// TestCrashesWithoutAContractMakeAtMostOneEffect: the server knows no keys, so
// each execution is an effect. What might have been sent is never sent again, by
// whichever process, and what is said to have failed did not happen.
func TestCrashesWithoutAContractMakeAtMostOneEffect(t *testing.T) {
	t.Parallel()
	const orders, kills = 45, 12
	const seed = 5
	w := clientkit.NewWorld(t, idemtest.IgnoreKeys(), idemtest.WithRandomFaults(seed, 0.4, keylessFaults()...))
	storm(w, seed, true, orders, kills)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.PromisesNothing()))
	for range 2 {
		_, err := c.Recover(testkit.Context(t))
		require.NoError(t, err)
	}
	require.NoError(t, c.Close())
	states := map[idem.State]int{}
	for _, in := range clientkit.ReadJournal(t, w.Path) {
		states[in.State()]++
	}
	t.Logf("%v", states)
	require.Zero(t, states[idem.Pending])
	for amount, n := range w.EffectsByAmount() {
		require.Equal(t, 1, n, "the order of %s", amount)
	}
}

// TestTheWorstMoment: killed when the server has acted and the reply is unread,
// once by each process that takes over, and then recovered: one effect. After more
// than five takeovers Recover leaves the intent in doubt; a caller's own call still
// finishes it.
func TestTheWorstMoment(t *testing.T) {
	t.Parallel()
	for _, deaths := range []int{1, 3, lifecycle.MaxTakeovers, lifecycle.MaxTakeovers + 1} {
		t.Run(fmt.Sprint(deaths, " deaths"), func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			args := clientkit.AgentArgs{ID: "order-1", Cents: 500}
			key := w.KillAfterEffect(args)
			for n := 1; n < deaths; n++ {
				require.NoError(t, w.Server.Script(clientkit.HoldReply()))
				p := w.Agent(args)
				require.Equal(t, key, w.Begin(p))
				p.Tell("start")
				p.Expect("started")
				require.NoError(t, w.Server.WaitArrivals(testkit.Context(t), n+1))
				p.Kill()
			}
			c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
			report, err := c.Recover(context.Background())
			require.NoError(t, err)
			if deaths > lifecycle.MaxTakeovers {
				require.Equal(t, idem.Report{InDoubt: 1}, report)
				require.Len(t, w.Server.Arrivals(), deaths)
				require.NoError(t, clientkit.Do(testkit.Context(t), w.MustBegin(c, 500)).Err)
				require.Len(t, w.Server.Arrivals(), deaths+1)
			} else {
				require.Equal(t, idem.Report{Succeeded: 1}, report)
				require.Len(t, w.Server.Arrivals(), deaths+1)
			}
			require.Len(t, w.Server.Effects(), 1)
		})
	}
}

// TestNothingMayBeSentAgainAfterAKill without a contract, wherever the kill fell:
// before the effect or after it.
func TestNothingMayBeSentAgainAfterAKill(t *testing.T) {
	t.Parallel()
	for _, kind := range []idemtest.FaultKind{idemtest.HoldReply, idemtest.HoldExecution} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t, idemtest.IgnoreKeys())
			require.NoError(t, w.Server.Script(faults(kind)...))
			p := w.Agent(clientkit.AgentArgs{ID: "order-1", Cents: 500, NoContract: true})
			key := w.Begin(p)
			p.Tell("start")
			p.Expect("started")
			require.NoError(t, w.Server.WaitArrivals(testkit.Context(t), 1))
			p.Kill()
			w.Server.Release()
			c := w.Open(idem.WithPolicy("create_invoice", clientkit.PromisesNothing()))
			report, err := c.Recover(context.Background())
			require.NoError(t, err)
			require.Equal(t, idem.Report{InDoubt: 1}, report)
			for range 3 {
				require.ErrorIs(t, clientkit.Do(context.Background(), w.MustBegin(c, 500)).Err, idem.ErrInDoubt)
			}
			in, err := c.Lookup(context.Background(), key)
			require.NoError(t, err)
			require.WithinDuration(t, w.Server.Arrivals()[0].At, in.FirstSent(), time.Minute)
			require.Len(t, w.Server.Arrivals(), 1)
		})
	}
}

// TestRecover_CredentialsMissing_DoubtsWhatMayHaveBeenSent tests an at-most-once call
// whose credentials were on the request. After a crash it can never be sent again, so it
// is in doubt, or what Policy.Reconcile determines.
func TestRecover_CredentialsMissing_DoubtsWhatMayHaveBeenSent(t *testing.T) {
	t.Parallel()
	for _, state := range []idem.State{idem.InDoubt, idem.Succeeded} {
		t.Run(state.String(), func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t, idemtest.IgnoreKeys())
			key := w.KillAfterEffect(clientkit.AgentArgs{ID: "order-1", Cents: 500, NoContract: true})
			p := idem.Policy{Retry: clientkit.Quick()} // no Authorize
			want := idem.Report{InDoubt: 1}
			if state == idem.Succeeded {
				want = idem.Report{Succeeded: 1}
				p.Reconcile = func(context.Context, *idem.Intent) (idem.Resolution, error) {
					return idem.Resolution{State: idem.Succeeded, Result: []byte(w.Object(key))}, nil
				}
			}
			c := w.Open(idem.WithPolicy("create_invoice", p))
			report, err := c.Recover(testkit.Context(t))
			require.NoError(t, err)
			require.Equal(t, want, report)
			in, err := c.Lookup(testkit.Context(t), key)
			require.NoError(t, err)
			require.Equal(t, state, in.State())
			require.Len(t, w.Server.Arrivals(), 1)
		})
	}
}
