package idem_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// Each duplicate that did not happen, and each thing that was held back, is counted
// by reason and by operation, the former with its cost; and the counts are still
// there after a restart.
func TestStatsCountByReasonAndOperation(t *testing.T) {
	t.Parallel()
	var clock clientkit.Wall
	server, path := clientkit.NewServer(t), testkit.NewPath(t)
	open := func() *idem.Client {
		keeps := clientkit.PolicyOf(idem.Stripe())
		keeps.Retry.MaxAttempts = 1
		c, err := idem.Open(path, idem.WithClock(clock.Now), idem.WithPolicy("keeps", keeps), idem.WithPolicy("promises nothing", clientkit.PromisesNothing()))
		require.NoError(t, err)
		return c
	}
	c := open()
	do := func(op, id string, cents int, cost int64) error {
		_, err := c.Do(testkit.NewInvoice(t, server.URL(), cents), idem.Operation{Name: op, ID: id, Cost: cost})
		return err
	}
	require.NoError(t, do("keeps", "1", 500, 500))
	for range 3 {
		require.NoError(t, do("keeps", "1", 500, 500)) // replayed
	}
	require.ErrorIs(t, do("keeps", "1", 501, 500), idem.ErrMismatch)
	require.NoError(t, server.Script(idemtest.Fault{Kind: idemtest.DropAfter}, idemtest.Fault{Kind: idemtest.NoFault}, idemtest.Fault{Kind: idemtest.DropAfter}, idemtest.Fault{Kind: idemtest.DropAfter}))
	require.ErrorIs(t, do("keeps", "2", 500, 70), idem.ErrInDoubt)
	require.NoError(t, do("keeps", "2", 500, 70)) // server_replayed
	require.ErrorIs(t, do("promises nothing", "3", 500, 9), idem.ErrInDoubt)
	require.ErrorIs(t, do("promises nothing", "3", 500, 9), idem.ErrInDoubt) // in_doubt
	require.ErrorIs(t, do("keeps", "4", 500, 9), idem.ErrInDoubt)
	clock.Set(25 * time.Hour)
	require.ErrorIs(t, do("keeps", "4", 500, 9), idem.ErrInDoubt) // expired

	p := idem.Policy{Window: time.Hour, Limit: idem.Limit{Intents: 1, Per: time.Hour}}
	for i, id := range []string{"a", "b", "c"} {
		if i == 0 {
			chargeTool(t, c, p, always(paid{"p-1"}, nil))
		}
		_, err := c.Call(repeat(testkit.Context(t), "", 0, 1000), "charge", id, []byte(`{"cents":500}`)) // reemitted
		require.NoError(t, err)
	}
	_, err := c.Call(testkit.Context(t), "charge", "d", []byte(`{"cents":501}`)) // limit
	require.ErrorIs(t, err, idem.ErrLimit)

	want := map[string]map[string]int64{
		"keeps":            {"replayed": 3, "mismatch": 1, "server_replayed": 1, "expired": 1},
		"promises nothing": {"in_doubt": 1},
		"charge":           {"reemitted": 2, "limit": 1},
	}
	for range 2 {
		s, err := c.Stats(testkit.Context(t))
		require.NoError(t, err)
		for op, reasons := range want {
			require.Equal(t, reasons, s.Operations[op].ByReason, op)
		}
		require.Equal(t, map[string]int64{"replayed": 3, "mismatch": 1, "server_replayed": 1, "expired": 1, "in_doubt": 1, "reemitted": 2, "limit": 1}, s.ByReason)
		require.EqualValues(t, 6, s.DuplicatesPrevented)
		require.EqualValues(t, 3*500+70+2*1000, s.CostPrevented)
		require.EqualValues(t, 3*500+70, s.Operations["keeps"].CostPrevented)
		require.EqualValues(t, 4, s.Operations["keeps"].DuplicatesPrevented)
		require.EqualValues(t, 5, s.Intents)
		require.EqualValues(t, 3, s.Operations["keeps"].Intents)
		require.EqualValues(t, 2, s.InDoubt)
		require.EqualValues(t, 1, s.Operations["promises nothing"].InDoubt)
		require.EqualValues(t, 0, s.Pending)
		require.Equal(t, s.Operations["promises nothing"].Oldest, s.Oldest)
		require.False(t, s.Oldest.IsZero())
		require.NoError(t, c.Close())
		c = open() // and once more, out of the journal
	}
	require.NoError(t, c.Close())
	clientkit.CheckJournal(t, path)
}

// Callers who join an execution under way are counted as coalesced.
func TestStatsCountWhoJoined(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t))
	inside, goOn := make(chan struct{}), make(chan struct{})
	tool, _ := chargeTool(t, c, idem.Policy{}, func(int) (paid, error) {
		close(inside)
		<-goOn
		return paid{"p-1"}, nil
	})
	const joiners = 5
	done := make(chan error, 1+joiners)
	for i := range 1 + joiners {
		ctx := clientkit.Watch(repeat(testkit.Context(t), "", 0, 500), 1)
		go func() {
			_, err := tool.Call(ctx, "order-1", charge{500, "visa"})
			done <- err
		}()
		if i == 0 {
			<-inside
		} else {
			ctx.Waiting(t)
		}
	}
	close(goOn)
	for range 1 + joiners {
		require.NoError(t, <-done)
	}
	s, err := c.Stats(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"coalesced": joiners}, s.ByReason)
	require.EqualValues(t, joiners*500, s.CostPrevented)
}

// Counting makes one replay after another, says so, and begins one more intent.
func (children) Counting(l *testkit.Link) error {
	var path string
	if err := l.Args(&path); err != nil {
		return err
	}
	c, err := idem.Open(path)
	if err != nil {
		return err
	}
	tool, err := idem.NewTool(c, "charge", idem.Policy{}, nothing)
	if err != nil {
		return err
	}
	for range 10 {
		if _, err := tool.Call(context.Background(), "order-1", charge{500, "visa"}); err != nil {
			return err
		}
	}
	if _, err := tool.Call(context.Background(), "order-2", charge{500, "visa"}); err != nil {
		return err
	}
	l.Say("counted")
	return errors.New("it was not killed: " + l.Hear())
}

// Counts are durable with the next commit, whatever kills the process after it.
func TestStatsOutliveAKill(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	child := testkit.StartChild(t, "Counting", path)
	child.Expect("counted")
	child.Kill()
	c := clientkit.NewClient(t, path)
	s, err := c.Stats(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"replayed": 9}, s.ByReason)
}

// Pruning an identity away does not shrink the count of what was begun.
func TestStatsKeepWhatWasPruned(t *testing.T) {
	t.Parallel()
	var clock clientkit.Wall
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithClock(clock.Now), idem.WithRetention(time.Hour, 2*time.Hour))
	tool, _ := chargeTool(t, c, idem.Policy{}, always(paid{"p-1"}, nil))
	for i := range 5 {
		_, err := tool.Call(testkit.Context(t), fmt.Sprint(i), charge{500, "visa"})
		require.NoError(t, err)
	}
	clock.Set(3 * time.Hour)
	n, err := c.Prune(testkit.Context(t))
	require.NoError(t, err)
	require.Positive(t, n)
	s, err := c.Stats(testkit.Context(t))
	require.NoError(t, err)
	require.EqualValues(t, 5, s.Intents)
	require.EqualValues(t, 5, s.Operations["charge"].Intents)
	require.Empty(t, s.ByReason)
}

// pruning is a client whose clocks a test sets, on a journal with order-1 and order-2.
type pruning struct {
	t     *testing.T
	path  string
	c     *idem.Client
	tool  *idem.Tool[charge, paid]
	clock clientkit.Wall
	ran   atomic.Int64 // by the monotonic clock
	log   bytes.Buffer
	done  int // how often the tool's function ran
}

func newPruning(t *testing.T) *pruning {
	p := &pruning{t: t, path: testkit.NewPath(t)}
	p.open()
	p.do("order-1")
	p.do("order-2")
	return p
}

func (p *pruning) open() {
	p.c = clientkit.NewClient(p.t, p.path, idem.WithClock(p.clock.Now), idem.WithLogger(slog.New(slog.NewTextHandler(&p.log, nil))),
		idem.WithRunning(func() time.Duration { return time.Duration(p.ran.Load()) }))
	p.tool, _ = chargeTool(p.t, p.c, idem.Policy{}, func(int) (paid, error) {
		p.done++
		return paid{"p-1"}, nil
	})
}

func (p *pruning) reopen() {
	require.NoError(p.t, p.c.Close())
	p.open()
}

func (p *pruning) do(id string) {
	p.t.Helper()
	_, err := p.tool.Call(testkit.Context(p.t), id, charge{500, "visa"})
	require.NoError(p.t, err)
}

func (p *pruning) prunes(want int) {
	p.t.Helper()
	n, err := p.c.Prune(testkit.Context(p.t))
	require.NoError(p.t, err)
	require.Equal(p.t, want, n)
}

const twoYears = 2 * 365 * 24 * time.Hour

// TestPrune_WallClockWrong_DropsNothing tests a wall clock that is wrong by years while
// the journal is pruned. Nothing is dropped, and once the clock is right again every
// outcome is replayed.
func TestPrune_WallClockWrong_DropsNothing(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]func(*pruning){
		"in this process": func(p *pruning) { p.clock.Set(twoYears) },
		"while closed": func(p *pruning) {
			p.clock.Set(twoYears)
			p.reopen()
		},
		"pruned before, and used since": func(p *pruning) {
			p.prunes(0)
			p.clock.Set(twoYears)
			p.reopen()
			p.do("order-3") // its time is wrong
			p.reopen()
		},
		"not pruned before, and used since": func(p *pruning) {
			p.clock.Set(twoYears)
			p.reopen()
			p.do("order-3")
			p.prunes(0)
			p.reopen()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPruning(t)
			step(p)
			p.prunes(0)
			require.Contains(t, p.log.String(), `level=WARN msg="idem: nothing is pruned until this process has run for 24 hours`)
			p.clock.Set(0)
			p.prunes(0)
			p.reopen()
			p.prunes(0)
			p.done = 0
			p.do("order-1")
			p.do("order-2")
			require.Zero(t, p.done, "a second effect")
		})
	}
}

// TestPrune_TwoYearsUnused_DropsAfterADay tests a wall clock that is right on a journal
// that was not used for two years.
func TestPrune_TwoYearsUnused_DropsAfterADay(t *testing.T) {
	t.Parallel()
	p := newPruning(t)
	p.clock.Set(twoYears)
	p.reopen()
	p.prunes(0)
	p.ran.Store(int64(24 * time.Hour))
	p.clock.Set(twoYears + 24*time.Hour)
	p.prunes(3) // both are shortened, and the one that is not the newest is dropped
	p.reopen()
	p.prunes(0)
	p.done = 0
	p.do("order-1")
	require.Equal(t, 1, p.done, "it is still known")
}

func nothing(context.Context, string, charge) (paid, error) { return paid{"p-1"}, nil }
