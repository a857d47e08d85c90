package idem_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// A ctx that ends before the call does nothing; one that ends in the middle ends
// the wait only: the function's context goes on, and its outcome is recorded.
func TestACtxThatEndsInTheMiddleEndsTheWaitOnly(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t))
	inside, goOn := make(chan context.Context, 1), make(chan struct{})
	tool, err := idem.NewTool(c, "charge", idem.Policy{}, func(ctx context.Context, _ string, in charge) (paid, error) {
		inside <- ctx
		<-goOn
		return paid{"late"}, ctx.Err()
	})
	require.NoError(t, err)

	over, end := context.WithCancel(testkit.Context(t))
	end()
	_, err = tool.Call(over, "order-1", charge{500, "visa"})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, idem.ErrInDoubt, "this call did nothing")
	require.Empty(t, idem.Advice(err))

	ctx, cancel := context.WithCancel(testkit.Context(t))
	got := make(chan error, 1)
	go func() {
		_, err := tool.Call(ctx, "order-1", charge{500, "visa"})
		got <- err
	}()
	run := <-inside
	cancel()
	err = <-got
	require.ErrorIs(t, err, idem.ErrInDoubt)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, run.Err(), "the function goes on")
	close(goOn)
	out, err := tool.Call(testkit.Context(t), "order-1", charge{500, "visa"}) // joins it, or reads what it left
	require.NoError(t, err)
	require.Equal(t, paid{"late"}, out)
	require.Empty(t, inside, "it ran once")
	require.Equal(t, 1, only(t, c).Attempts())
}

// A function that outlives its time and the grace is in doubt and not run beside
// itself; a success that it comes back with later is recorded, and handed out.
func TestAToolThatOutlivesItsTimeIsInDoubt(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithGrace(time.Millisecond))
	r, goOn := &runs{}, make(chan struct{})
	retry := clientkit.Quick()
	retry.AttemptTimeout = time.Millisecond
	tool, err := idem.NewTool(c, "charge", idem.Policy{Contract: idem.Standard(), Retry: retry},
		func(_ context.Context, key string, in charge) (paid, error) {
			r.note(key, in)
			<-goOn
			return paid{"late"}, nil
		})
	require.NoError(t, err)
	_, err = tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
	require.ErrorIs(t, err, idem.ErrInDoubt)
	require.ErrorContains(t, err, "did not return within")
	require.Equal(t, idem.InDoubt, only(t, c).State())
	_, err = tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
	require.ErrorIs(t, err, idem.ErrInDoubt)
	require.ErrorContains(t, err, "still runs here")
	close(goOn)
	waitState(t, c, idem.Succeeded)
	out, err := tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
	require.NoError(t, err)
	require.Equal(t, paid{"late"}, out)
	require.Len(t, r.list(), 1)
}

// waitState waits until the only intent stands so.
func waitState(t testing.TB, c *idem.Client, s idem.State) {
	t.Helper()
	for ctx := testkit.Context(t); only(t, c).State() != s; {
		require.NoError(t, ctx.Err(), "it never became %s", s)
	}
}

// What a function says that comes too late and is no success settles nothing, and
// is an audit row. A panic that comes too late hits nobody.
func TestWhatComesLateAndIsNoSuccessIsAnAuditRow(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func() (paid, error){
		"not sent: gave up": func() (paid, error) { return paid{}, idem.NotSent(errors.New("gave up")) },
		"panicked: boom":    func() (paid, error) { panic("boom") },
	} {
		c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithGrace(time.Millisecond))
		goOn := make(chan struct{})
		tool, err := idem.NewTool(c, "charge", idem.Policy{Retry: idem.Retry{AttemptTimeout: time.Millisecond}},
			func(context.Context, string, charge) (paid, error) { <-goOn; return end() })
		require.NoError(t, err)
		_, err = tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
		require.ErrorIs(t, err, idem.ErrInDoubt)
		close(goOn)
		for ctx := testkit.Context(t); ; {
			history := only(t, c).History()
			if last := history[len(history)-1]; last.Reason == "came late" {
				require.Contains(t, last.Note, name)
				break
			}
			require.NoError(t, ctx.Err(), "the audit row never came")
		}
		require.Equal(t, idem.InDoubt, only(t, c).State())
	}
}

// Close waits for a function within its time and records its outcome; it does not
// wait for one that outlived it, which may never return.
func TestCloseWaitsForAToolWithinItsTimeOnly(t *testing.T) {
	t.Parallel()
	path, goOn := testkit.NewPath(t), make(chan struct{})
	c, err := idem.Open(path, idem.WithGrace(time.Millisecond))
	require.NoError(t, err)
	inside := make(chan struct{})
	quickTool, err := idem.NewTool(c, "quick", idem.Policy{}, func(ctx context.Context, _ string, _ charge) (paid, error) {
		close(inside)
		<-goOn
		return paid{"p-1"}, nil
	})
	require.NoError(t, err)
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	stuck, err := idem.NewTool(c, "stuck", idem.Policy{Retry: idem.Retry{AttemptTimeout: time.Millisecond}},
		func(context.Context, string, charge) (paid, error) { <-never; return paid{}, nil })
	require.NoError(t, err)
	_, err = stuck.Call(testkit.Context(t), "1", charge{})
	require.ErrorIs(t, err, idem.ErrInDoubt)
	go quickTool.Call(testkit.Context(t), "1", charge{})
	<-inside
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	close(goOn)
	require.NoError(t, <-closed)

	_, err = quickTool.Call(testkit.Context(t), "2", charge{})
	require.ErrorIs(t, err, idem.ErrClosed)
	states := map[string]idem.State{}
	for _, in := range clientkit.ReadJournal(t, path) {
		states[in.Operation().Name] = in.State()
	}
	require.Equal(t, map[string]idem.State{"quick": idem.Succeeded, "stuck": idem.InDoubt}, states)
	clientkit.CheckJournal(t, path)
}

// A tool that changes nothing is neither journaled nor keyed, is tried again
// freely, and cannot write through Transport.
func TestAReadOnlyToolIsNotJournaledAndCannotWrite(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()))
	tool, r := chargeTool(t, c, idem.Policy{Effect: idem.ReadOnly, Retry: clientkit.Quick()}, func(n int) (paid, error) {
		if n%3 != 0 {
			return paid{}, errors.New("try again")
		}
		return paid{"balance"}, nil
	})
	for range 2 {
		out, err := tool.Call(testkit.Context(t), "1", charge{500, "visa"})
		require.NoError(t, err)
		require.Equal(t, paid{"balance"}, out)
	}
	require.Len(t, r.list(), 6, "asked anew each time, and tried again")
	require.Empty(t, r.list()[0].key)

	tries := 0
	refused, err := idem.NewTool(c, "refused", idem.Policy{Effect: idem.ReadOnly, Retry: clientkit.Quick()},
		func(context.Context, string, charge) (paid, error) {
			tries++
			return paid{}, idem.Refused(errors.New("no such account"))
		})
	require.NoError(t, err)
	_, err = refused.Call(testkit.Context(t), "1", charge{})
	require.ErrorIs(t, err, idem.ErrRefused)
	require.Equal(t, 1, tries)

	writes, err := idem.NewTool(c, "writes", idem.Policy{Effect: idem.ReadOnly, Retry: clientkit.Quick()},
		func(ctx context.Context, _ string, _ charge) (paid, error) {
			sdk := &http.Client{Transport: c.Transport(nil)}
			_, err := sdk.Do(w.Invoice(500).WithContext(ctx))
			return paid{}, err
		})
	require.NoError(t, err)
	ctx := idem.WithOperation(testkit.Context(t), idem.Operation{Name: "create_invoice", ID: "order-1"})
	_, err = writes.Call(ctx, "1", charge{})
	require.ErrorIs(t, err, idem.ErrNoIntent, "the operation in the context is not this tool's to use")
	require.Empty(t, w.Server.Arrivals())
	for range c.Intents(testkit.Context(t), idem.Filter{}) {
		require.Fail(t, "a read was journaled")
	}
}

// An output that is no JSON is a success all the same: never run again, and the
// error says why there is nothing to hand out.
func TestAnOutputThatIsNoJSONIsASuccess(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t))
	ran := 0
	tool, err := idem.NewTool(c, "charge", idem.Policy{}, func(context.Context, string, charge) (chan int, error) {
		ran++
		return make(chan int), nil
	})
	require.NoError(t, err)
	for range 2 {
		_, err = tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
		require.ErrorIs(t, err, idem.ErrForgotten)
		require.ErrorContains(t, err, "cannot be encoded as JSON")
		require.NotErrorIs(t, err, idem.ErrRefused)
	}
	require.Equal(t, 1, ran)
	require.Equal(t, idem.Succeeded, only(t, c).State())
}

// An output over the limit is a success whose answer is not kept.
func TestAnOutputOverTheLimitIsASuccess(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithMaxReply(50))
	tool, r := chargeTool(t, c, idem.Policy{}, always(paid{strings.Repeat("x", 100)}, nil))
	for range 2 {
		_, err := tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
		require.ErrorIs(t, err, idem.ErrOutcomeTruncated)
	}
	require.Len(t, r.list(), 1)
	require.Equal(t, idem.Succeeded, only(t, c).State())
}

// A tool takes Scope, Repeat and Cost from the context's operation, and its own
// name and ID whatever that says; the context then knows the intent.
func TestAToolTakesScopeRepeatAndCostFromTheContext(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithRequireScope())
	tool, r := chargeTool(t, c, idem.Policy{}, always(paid{"p-1"}, nil))
	_, err := tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
	require.ErrorIs(t, err, idem.ErrNoScope)
	require.Empty(t, r.list())

	ctx := idem.WithOperation(testkit.Context(t), idem.Operation{Name: "other", Scope: "run-42", ID: "other", Repeat: 2, Cost: 500})
	_, known := idem.FromContext(ctx)
	require.False(t, known)
	_, err = tool.Call(ctx, "order-1", charge{500, "visa"})
	require.NoError(t, err)
	want := idem.Operation{Name: "charge", Scope: "run-42", ID: "order-1", Repeat: 2, Cost: 500}
	require.Equal(t, want, only(t, c).Operation())
	in, known := idem.FromContext(ctx)
	require.True(t, known, "also after the call")
	require.Equal(t, want, in.Operation())
	require.Equal(t, idem.Succeeded, in.State())
}

// A tool may call another, in its own scope, also when it is recovered without the
// caller's context; calling itself under its own identity is an error at once.
func TestAToolMayCallAnotherButNotItself(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t))
	inner, r := chargeTool(t, c, idem.Policy{}, always(paid{"inner"}, nil))
	var outer *idem.Tool[charge, paid]
	outer, err := idem.NewTool(c, "outer", idem.Policy{}, func(ctx context.Context, _ string, in charge) (paid, error) {
		if in.Card == "myself" {
			return outer.Call(ctx, "1", in)
		}
		return inner.Call(ctx, "1", in)
	})
	require.NoError(t, err)
	out, err := outer.Call(idem.WithOperation(testkit.Context(t), idem.Operation{Scope: "run-42"}), "1", charge{500, "visa"})
	require.NoError(t, err)
	require.Equal(t, paid{"inner"}, out)
	child, err := c.Lookup(testkit.Context(t), r.list()[0].key)
	require.NoError(t, err)
	require.Equal(t, idem.Operation{Name: "charge", Scope: "run-42", ID: "1"}, child.Operation())

	_, err = outer.Call(testkit.Context(t), "1", charge{500, "myself"})
	require.ErrorContains(t, err, "calls itself under its own identity")
}
