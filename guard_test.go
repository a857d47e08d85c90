package idem_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// repeat is an intended repeat of a tool call.
func repeat(ctx context.Context, scope string, n int, cost int64) context.Context {
	return idem.WithOperation(ctx, idem.Operation{Scope: scope, Repeat: n, Cost: cost})
}

// Inside the window the same scope, tool and input under another ID is the first
// intent: its outcome is handed out and nothing is done. Another scope, another
// input, an intended repeat and a time after the window are not taken for it.
func TestAReemissionGetsTheFirstOutcome(t *testing.T) {
	t.Parallel()
	var clock clientkit.Wall
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithClock(clock.Now))
	p := idem.Policy{Window: time.Hour, Limit: idem.Limit{Intents: 100, Per: time.Hour}} // so that repeats are looked at, too
	tool, r := chargeTool(t, c, p, func(n int) (paid, error) { return paid{fmt.Sprint(n)}, nil })
	visa := charge{500, "visa"}
	for _, step := range []struct {
		what  string
		after time.Duration
		ctx   context.Context
		id    string
		in    charge
		gets  string
	}{
		{"the first", 0, idem.WithScope(testkit.Context(t), "a"), "call_1", visa, "1"},
		{"another ID", time.Minute, idem.WithScope(testkit.Context(t), "a"), "call_2", visa, "1"},
		{"without an ID", 0, idem.WithScope(testkit.Context(t), "a"), "", visa, "1"},
		{"another scope", 0, idem.WithScope(testkit.Context(t), "b"), "call_3", visa, "2"},
		{"another input", 0, idem.WithScope(testkit.Context(t), "a"), "call_4", charge{501, "visa"}, "3"},
		{"an intended repeat", 0, repeat(testkit.Context(t), "a", 1, 0), "call_1", visa, "4"},
		{"an intended repeat of another ID", 0, repeat(testkit.Context(t), "a", 1, 0), "call_5", visa, "5"},
		{"not taken for the repeat", 0, idem.WithScope(testkit.Context(t), "a"), "call_6", visa, "1"},
		{"after the window", time.Hour, idem.WithScope(testkit.Context(t), "a"), "call_7", visa, "6"},
		{"the first ID again", 0, idem.WithScope(testkit.Context(t), "a"), "call_1", visa, "1"},
		{"an alias after the window", 0, idem.WithScope(testkit.Context(t), "a"), "call_2", visa, "1"},
		{"the new first", 0, idem.WithScope(testkit.Context(t), "a"), "call_8", visa, "6"},
		{"in one more scope", 0, idem.WithScope(testkit.Context(t), "c"), "call_1", visa, "7"},
		{"its repeat", 50 * time.Minute, repeat(testkit.Context(t), "c", 1, 0), "call_1", visa, "8"},
		{"not taken for the repeat alone", 20 * time.Minute, idem.WithScope(testkit.Context(t), "c"), "call_2", visa, "9"},
	} {
		clock.Ahead.Add(int64(step.after))
		out, err := tool.Call(step.ctx, step.id, step.in)
		require.NoError(t, err, step.what)
		require.Equal(t, step.gets, out.Number, step.what)
	}
	require.Len(t, r.list(), 9)
	s, err := c.Stats(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"reemitted": 5, "replayed": 1}, s.ByReason)
	require.EqualValues(t, 9, s.Intents)
}

// While the first is under way, another ID joins it. What failed is nobody's first.
func TestAReemissionJoinsWhatIsUnderWayAndNotWhatFailed(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t))
	inside, goOn := make(chan struct{}, 2), make(chan struct{})
	tool, r := chargeTool(t, c, idem.Policy{Window: time.Hour, Retry: idem.Retry{MaxAttempts: 1}}, func(n int) (paid, error) {
		if n == 1 {
			return paid{}, idem.NotSent(errors.New("offline"))
		}
		inside <- struct{}{}
		<-goOn
		return paid{"p-1"}, nil
	})
	_, err := tool.Call(testkit.Context(t), "call_1", charge{500, "visa"})
	require.ErrorIs(t, err, idem.ErrNotSent)
	got := make(chan paid, 2)
	call := func(ctx context.Context, id string) {
		out, _ := tool.Call(ctx, id, charge{500, "visa"})
		got <- out
	}
	go call(testkit.Context(t), "call_2")
	<-inside
	ctx := clientkit.Watch(testkit.Context(t), 1)
	go call(ctx, "call_3")
	ctx.Waiting(t)
	close(goOn)
	require.Equal(t, []paid{{"p-1"}, {"p-1"}}, []paid{<-got, <-got})
	require.Len(t, r.list(), 2)
}

// A policy that refuses says so, with the first ID's name; nothing is kept of the
// other ID, which is free once the window is over.
func TestAReemissionIsRefusedWhereThePolicySaysSo(t *testing.T) {
	t.Parallel()
	var clock clientkit.Wall
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithClock(clock.Now))
	tool, r := chargeTool(t, c, idem.Policy{Window: time.Hour, Refuse: true}, always(paid{"p-1"}, nil))
	_, err := tool.Call(testkit.Context(t), "call_1", charge{500, "visa"})
	require.NoError(t, err)
	for range 2 {
		_, err = tool.Call(testkit.Context(t), "call_2", charge{500, "visa"})
		require.ErrorIs(t, err, idem.ErrDuplicate)
		require.ErrorContains(t, err, "call_1")
		require.ErrorContains(t, err, "Operation.Repeat")
		require.NotEmpty(t, idem.Advice(err))
	}
	_, err = tool.Call(testkit.Context(t), "call_1", charge{500, "visa"})
	require.NoError(t, err, "the same ID is no re-emission")
	require.Len(t, r.list(), 1)
	clock.Ahead.Add(int64(2 * time.Hour))
	_, err = tool.Call(testkit.Context(t), "call_2", charge{500, "visa"})
	require.NoError(t, err)
	require.Len(t, r.list(), 2)
}

// TestWithRetention_IdentitiesTooShort_IsRefused tests that a policy is refused whose
// guards or keys need identities for longer than they are kept, in Open and in NewTool.
func TestWithRetention_IdentitiesTooShort_IsRefused(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	year := 365 * day
	for name, c := range map[string]struct {
		policy idem.Policy
		kept   time.Duration // identities; 0: the default
		says   string        // empty: nothing is refused
	}{
		"window":             {idem.Policy{Window: day}, time.Hour, "Window is 24h0m0s, and identities are kept for 1h0m0s only"},
		"limit":              {idem.Policy{Window: 2 * time.Hour, Limit: idem.Limit{Cost: 1, Per: day}}, time.Hour, "Limit.Per is 24h0m0s"},
		"contract":           {idem.Policy{Contract: idem.Stripe()}, day - 1, "use WithRetention(outcomes, 24h0m0s) or longer, or shorten Contract.Retention"},
		"over the default":   {idem.Policy{Limit: idem.Limit{Intents: 1, Per: 2 * year}}, 0, "identities are kept for 8760h0m0s only"},
		"as long":            {idem.Policy{Contract: idem.Stripe(), Window: day}, day, ""},
		"the default":        {idem.Policy{Limit: idem.Limit{Intents: 1, Per: year}}, 0, ""},
		"harmless repeats":   {idem.Policy{Contract: idem.Natural()}, time.Hour, ""},
		"harmless, a window": {idem.Policy{Contract: idem.Natural(), Window: day}, time.Hour, "Window is 24h0m0s"},
		"read only":          {idem.Policy{Effect: idem.ReadOnly, Contract: idem.Stripe()}, time.Hour, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := func(err error) {
				t.Helper()
				if c.says == "" {
					require.NoError(t, err)
					return
				}
				require.ErrorContains(t, err, `idem: policy of "pay": `)
				require.ErrorContains(t, err, c.says)
			}
			var keep idem.Option
			if c.kept > 0 {
				keep = idem.WithRetention(time.Minute, c.kept)
			}
			for _, opts := range [][]idem.Option{{keep, idem.WithPolicy("pay", c.policy)}, {idem.WithPolicy("pay", c.policy), keep}} {
				client, err := idem.Open(testkit.NewPath(t), opts...)
				check(err)
				if err == nil {
					require.NoError(t, client.Close())
				}
			}
			client := clientkit.NewClient(t, testkit.NewPath(t), keep)
			_, err := idem.NewTool(client, "pay", c.policy, nothing)
			check(err)
		})
	}
}

// The alias that a re-emitted ID became is as durable as an identity: it outlives
// the window, a restart and its outcome, and is never a second effect by accident.
func TestAliasesLastAsLongAsIdentities(t *testing.T) {
	t.Parallel()
	var clock clientkit.Wall
	path, p := testkit.NewPath(t), idem.Policy{Window: time.Hour}
	open := func() (*idem.Client, *idem.Tool[charge, paid], *runs) {
		c, err := idem.Open(path, idem.WithClock(clock.Now), idem.WithRetention(24*time.Hour, 48*time.Hour))
		require.NoError(t, err)
		tool, r := chargeTool(t, c, p, always(paid{"p-1"}, nil))
		return c, tool, r
	}
	c, tool, r := open()
	for _, id := range []string{"call_1", "call_2"} {
		_, err := tool.Call(testkit.Context(t), id, charge{500, "visa"})
		require.NoError(t, err)
	}
	_, err := tool.Call(testkit.Context(t), "newer", charge{1, "visa"}) // so that the first is not the journal's last row
	require.NoError(t, err)
	require.Len(t, r.list(), 2)
	require.NoError(t, c.Close())

	clock.Ahead.Add(int64(12 * time.Hour))
	c, tool, r = open()
	out, err := tool.Call(testkit.Context(t), "call_2", charge{500, "visa"})
	require.NoError(t, err)
	require.Equal(t, paid{"p-1"}, out)
	_, err = tool.Call(testkit.Context(t), "call_2", charge{501, "visa"})
	require.ErrorIs(t, err, idem.ErrMismatch)

	clock.Ahead.Add(int64(13 * time.Hour))
	n, err := c.Prune(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, 2, n)
	for _, id := range []string{"call_1", "call_2"} {
		_, err = tool.Call(testkit.Context(t), id, charge{500, "visa"})
		require.ErrorIs(t, err, idem.ErrForgotten, id)
	}
	require.Empty(t, r.list())
	require.NoError(t, c.Close())

	clock.Ahead.Add(int64(24 * time.Hour))
	c, tool, r = open()
	_, err = c.Prune(testkit.Context(t))
	require.NoError(t, err)
	_, err = tool.Call(testkit.Context(t), "call_2", charge{500, "visa"})
	require.NoError(t, err, "nothing is known of it any more")
	require.Len(t, r.list(), 1)
	require.NoError(t, c.Close())
	clientkit.CheckJournal(t, path)
}

// Past the limit of a scope and operation nothing is begun and nothing is done,
// until the sliding time has moved on. What was done already is still handed out.
func TestALimitStopsALoop(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limit idem.Limit
		costs []int64 // of the calls, 10 minutes apart
		takes []bool
	}{
		"count":         {idem.Limit{Intents: 2, Per: time.Hour}, []int64{1, 1, 1, 1, 1, 1, 1, 1}, []bool{true, true, false, false, false, false, true, true}},
		"cost":          {idem.Limit{Cost: 10, Per: time.Hour}, []int64{4, 4, 4, 2, 1, 0, 4, 4}, []bool{true, true, false, true, false, true, true, true}},
		"count or cost": {idem.Limit{Intents: 2, Cost: 10, Per: time.Hour}, []int64{11, 9, 2, 1, 1}, []bool{false, true, false, true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var clock clientkit.Wall
			path := testkit.NewPath(t)
			for i, cost := range c.costs {
				client, err := idem.Open(path, idem.WithClock(clock.Now)) // the journal decides, not a process
				require.NoError(t, err)
				tool, r := chargeTool(t, client, idem.Policy{Limit: c.limit}, always(paid{"p-1"}, nil))
				_, err = tool.Call(repeat(testkit.Context(t), "a", 0, cost), fmt.Sprint(i), charge{i, "visa"})
				if c.takes[i] {
					require.NoError(t, err, "call %d", i)
					_, err = tool.Call(repeat(testkit.Context(t), "a", 0, cost), fmt.Sprint(i), charge{i, "visa"})
					require.NoError(t, err, "it is done: call %d again", i)
				} else {
					require.ErrorIs(t, err, idem.ErrLimit, "call %d", i)
					require.NotEmpty(t, idem.Advice(err))
					require.Empty(t, r.list())
				}
				if i == 0 && c.takes[0] {
					_, err = tool.Call(repeat(testkit.Context(t), "another", 0, cost), "0", charge{i, "visa"})
					require.NoError(t, err, "another scope has its own")
				}
				require.NoError(t, client.Close())
				clock.Ahead.Add(int64(10 * time.Minute))
			}
			clientkit.CheckJournal(t, path)
		})
	}
}

// What failed does not count; a call that was never sent and is made again does,
// so that a network that comes back does not let the whole queue through.
func TestWhatFailedDoesNotCountUntilItIsTriedAgain(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t))
	offline := true
	p := idem.Policy{Limit: idem.Limit{Intents: 2, Per: time.Hour}, Retry: idem.Retry{MaxAttempts: 1}}
	tool, r := chargeTool(t, c, p, func(int) (paid, error) {
		if offline {
			return paid{}, idem.NotSent(errors.New("offline"))
		}
		return paid{"p-1"}, nil
	})
	for i := range 5 {
		_, err := tool.Call(testkit.Context(t), fmt.Sprint(i), charge{i, "visa"})
		require.ErrorIs(t, err, idem.ErrNotSent)
	}
	offline = false
	for i := range 5 {
		_, err := tool.Call(testkit.Context(t), fmt.Sprint(i), charge{i, "visa"})
		if i < 2 {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, idem.ErrLimit)
		}
	}
	require.Len(t, r.list(), 7)
}

// Guarded does guarded calls from a process of its own.
func (children) Guarded(l *testkit.Link) error {
	var args struct {
		Path, Server string
		Callers      int
		Window       time.Duration
		Limit        idem.Limit
		SameInput    bool
	}
	if err := l.Args(&args); err != nil {
		return err
	}
	p := clientkit.Stripe()
	p.Window, p.Limit = args.Window, args.Limit
	c, err := idem.Open(args.Path, idem.WithPolicy("create_invoice", p))
	if err != nil {
		return err
	}
	l.Say("ready")
	name := l.Hear()
	var wg sync.WaitGroup
	var done, limited atomic.Int64
	var mu sync.Mutex
	var errs []error
	for i := range args.Callers {
		wg.Go(func() {
			cents := 500
			if !args.SameInput {
				cents += i
			}
			req, err := testkit.InvoiceRequest(args.Server, cents)
			if err == nil {
				_, err = c.Do(req, invoiceOp(fmt.Sprint(name, i)))
			}
			switch {
			case err == nil:
				done.Add(1)
			case errors.Is(err, idem.ErrLimit):
				limited.Add(1)
			default:
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	l.Say("%d %d", done.Load(), limited.Load())
	return errors.Join(append(errs, c.Close())...)
}

// Processes that work at the same time on one journal have one window and one
// budget between them.
func TestGuardsHoldAcrossProcesses(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]map[string]any{
		"window": {"Window": time.Hour, "SameInput": true},
		"limit":  {"Limit": idem.Limit{Intents: 7, Per: time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			args["Path"], args["Server"], args["Callers"] = w.Path, w.Server.URL(), 8
			var all []*testkit.Process
			for range 3 {
				p := testkit.StartChild(t, "Guarded", args)
				p.Expect("ready")
				all = append(all, p)
			}
			for i, p := range all {
				p.Tell(string(rune('a' + i)))
			}
			sum := [2]int{}
			for _, p := range all {
				var done, limited int
				_, err := fmt.Sscan(p.Hear(), &done, &limited)
				require.NoError(t, err)
				sum[0] += done
				sum[1] += limited
				p.Wait()
			}
			if name == "window" {
				require.Equal(t, [2]int{24, 0}, sum)
				require.Len(t, w.Server.Effects(), 1)
			} else {
				require.Equal(t, [2]int{7, 17}, sum)
				require.Len(t, w.Server.Effects(), 7)
			}
		})
	}
}

// An ID that was answered as a re-emission stands for the first intent, also where
// the policy has no window any more: it is never a second effect by accident.
func TestAnAliasOutlivesItsPolicy(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	open := func(p idem.Policy) (*idem.Client, *idem.Tool[charge, paid], *runs) {
		c, err := idem.Open(path)
		require.NoError(t, err)
		tool, r := chargeTool(t, c, p, always(paid{"p-1"}, nil))
		return c, tool, r
	}
	c, tool, r := open(idem.Policy{Window: time.Hour})
	for _, id := range []string{"call_1", "call_2"} {
		_, err := tool.Call(testkit.Context(t), id, charge{500, "visa"})
		require.NoError(t, err)
	}
	require.Len(t, r.list(), 1)
	require.NoError(t, c.Close())

	c, tool, r = open(idem.Policy{})
	_, err := tool.Call(testkit.Context(t), "other", charge{1, "visa"})
	require.NoError(t, err)
	out, err := tool.Call(testkit.Context(t), "call_2", charge{500, "visa"})
	require.NoError(t, err)
	require.Equal(t, paid{"p-1"}, out)
	_, err = tool.Call(testkit.Context(t), "call_2", charge{501, "visa"})
	require.ErrorIs(t, err, idem.ErrMismatch)
	require.Len(t, r.list(), 1, "only the other one was done")
	require.NoError(t, c.Close())
	clientkit.CheckJournal(t, path)
}

// What was refused is nobody's first: nothing had happened, so the same input under
// another ID is not taken for a re-emission of it. The refused ID stays refused.
func TestWhatWasRefusedIsNobodysFirst(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t))
	tool, r := chargeTool(t, c, idem.Policy{Window: time.Hour}, func(n int) (paid, error) {
		if n == 1 {
			return paid{}, idem.Refused(errors.New("no money"))
		}
		return paid{"p-1"}, nil
	})
	_, err := tool.Call(testkit.Context(t), "call_1", charge{500, "visa"})
	require.ErrorIs(t, err, idem.ErrRefused)
	out, err := tool.Call(testkit.Context(t), "call_2", charge{500, "visa"})
	require.NoError(t, err)
	require.Equal(t, paid{"p-1"}, out)
	_, err = tool.Call(testkit.Context(t), "call_1", charge{500, "visa"})
	require.ErrorIs(t, err, idem.ErrRefused)
	require.Len(t, r.list(), 2)
}
