package idem_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// charge and paid are what most tools here take and give.
type charge struct {
	Cents int    `json:"cents"`
	Card  string `json:"card"`
}

type paid struct {
	Number string `json:"number"`
}

// told is one run of a tool's function, as it was told.
type told struct {
	key string
	in  charge
}

// runs records the runs of a tool's function.
type runs struct {
	mu  sync.Mutex
	all []told
}

func (r *runs) note(key string, in charge) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, told{key, in})
	return len(r.all)
}

func (r *runs) list() []told {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]told(nil), r.all...)
}

// chargeTool registers a tool named charge, whose runs are recorded and whose nth
// run ends as answer says.
func chargeTool(t testing.TB, c *idem.Client, p idem.Policy, answer func(n int) (paid, error)) (*idem.Tool[charge, paid], *runs) {
	t.Helper()
	r := &runs{}
	tool, err := idem.NewTool(c, "charge", p, func(_ context.Context, key string, in charge) (paid, error) {
		return answer(r.note(key, in))
	})
	require.NoError(t, err)
	return tool, r
}

func always(out paid, err error) func(int) (paid, error) {
	return func(int) (paid, error) { return out, err }
}

// only is the one intent in a client's journal.
func only(t testing.TB, c *idem.Client) *idem.Intent {
	t.Helper()
	var all []*idem.Intent
	for in, err := range c.Intents(testkit.Context(t), idem.Filter{}) {
		require.NoError(t, err)
		all = append(all, in)
	}
	require.Len(t, all, 1)
	whole, err := c.Lookup(testkit.Context(t), all[0].Key())
	require.NoError(t, err)
	return whole
}

// One identity is one run, whoever calls, however the arguments are spelled, and
// after the journal was closed and opened again; the first output is what all get.
func TestAToolRunsOnceForAnIdentity(t *testing.T) {
	t.Parallel()
	path, ctx := testkit.NewPath(t), idem.WithScope(testkit.Context(t), "run-42")
	var key string
	for round := range 3 {
		c, err := idem.Open(path)
		require.NoError(t, err)
		var inside *idem.Intent
		r := &runs{}
		tool, err := idem.NewTool(c, "charge", idem.Policy{}, func(ctx context.Context, key string, in charge) (paid, error) {
			inside, _ = idem.FromContext(ctx)
			r.note(key, in)
			return paid{"p-1"}, nil
		})
		require.NoError(t, err)
		out, err := tool.Call(ctx, "order-1", charge{500, "visa"})
		require.NoError(t, err)
		require.Equal(t, paid{"p-1"}, out)
		raw, err := c.Call(ctx, "charge", "order-1", json.RawMessage(` {"card":"visa", "cents": 500} `))
		require.NoError(t, err)
		require.JSONEq(t, `{"number":"p-1"}`, string(raw))

		in := only(t, c)
		require.Equal(t, idem.Succeeded, in.State())
		require.Equal(t, "tool charge", in.Target())
		require.Equal(t, idem.Operation{Name: "charge", Scope: "run-42", ID: "order-1"}, in.Operation())
		require.JSONEq(t, `{"cents":500,"card":"visa"}`, string(in.Payload()))
		require.JSONEq(t, `{"number":"p-1"}`, string(in.Outcome()))
		require.Equal(t, 1, in.Attempts())
		if round == 0 {
			key = in.Key()
			require.Equal(t, []told{{key, charge{500, "visa"}}}, r.list())
			require.Equal(t, key, inside.Key())
		} else {
			require.Empty(t, r.list())
		}
		require.Equal(t, key, in.Key())
		_, err = in.Do(ctx)
		require.ErrorContains(t, err, "the intent of a tool")
		require.NoError(t, c.Close())
	}
	clientkit.CheckJournal(t, path)
}

// A function says what it knows of its failure, and each is told apart: what
// happened to the intent, what the caller gets, and what the same call does again.
func TestAToolSaysWhatItKnows(t *testing.T) {
	t.Parallel()
	declined := errors.New("card declined")
	kept := idem.Policy{Contract: idem.Standard(), Retry: clientkit.Quick()}
	none := idem.Policy{Retry: clientkit.Quick()}
	for name, c := range map[string]struct {
		policy   idem.Policy
		answer   error
		is, not  error
		state    idem.State
		runs     int // of the first call
		moreRuns int // of the same call again
		sent     bool
	}{
		"not sent":                   {none, idem.NotSent(declined), idem.ErrNotSent, idem.ErrInDoubt, idem.Failed, 4, 4, false},
		"not sent, keys kept":        {kept, idem.NotSent(declined), idem.ErrNotSent, idem.ErrInDoubt, idem.Failed, 4, 4, false},
		"not sent, wrapped":          {none, fmt.Errorf("paying: %w", idem.NotSent(declined)), idem.ErrNotSent, idem.ErrInDoubt, idem.Failed, 4, 4, false},
		"refused":                    {none, idem.Refused(declined), idem.ErrRefused, idem.ErrInDoubt, idem.Failed, 1, 0, true},
		"refused, keys kept":         {kept, idem.Refused(declined), idem.ErrRefused, idem.ErrInDoubt, idem.Failed, 1, 0, true},
		"refused, wrapped":           {none, fmt.Errorf("paying: %w", idem.Refused(declined)), idem.ErrRefused, idem.ErrInDoubt, idem.Failed, 1, 0, true},
		"for now":                    {none, idem.Refused(idem.NotSent(declined)), idem.ErrNotSent, idem.ErrInDoubt, idem.Failed, 1, 1, false},
		"any other error":            {none, declined, idem.ErrInDoubt, idem.ErrRefused, idem.InDoubt, 1, 0, true},
		"any other error, keys kept": {kept, declined, idem.ErrInDoubt, idem.ErrRefused, idem.InDoubt, 4, 4, true},
		"a deadline":                 {none, context.DeadlineExceeded, idem.ErrInDoubt, idem.ErrNotSent, idem.InDoubt, 1, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := clientkit.NewClient(t, testkit.NewPath(t))
			tool, r := chargeTool(t, client, c.policy, always(paid{}, c.answer))
			_, err := tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
			require.ErrorIs(t, err, c.is)
			require.NotErrorIs(t, err, c.not)
			if !errors.Is(c.answer, context.DeadlineExceeded) {
				require.ErrorIs(t, err, declined, "the function's own error is in it")
				require.ErrorContains(t, err, "card declined")
			}
			require.Len(t, r.list(), c.runs)
			in := only(t, client)
			require.Equal(t, c.state, in.State())
			require.Equal(t, c.runs, in.Attempts())
			require.Equal(t, c.sent, !in.FirstSent().IsZero())

			_, err = tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
			require.ErrorIs(t, err, c.is)
			require.Len(t, r.list(), c.runs+c.moreRuns)
			for _, run := range r.list() {
				require.Equal(t, told{in.Key(), charge{500, "visa"}}, run, "the same key and input each time")
			}
		})
	}
}

// A refusal is an outcome: it is handed out again in its own words. Mended
// arguments under the same ID are a new intent with a new key.
func TestARefusalIsKeptAndMendedArgumentsAreNew(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t))
	tool, r := chargeTool(t, c, idem.Policy{}, func(n int) (paid, error) {
		if n == 1 {
			return paid{}, idem.Refused(errors.New("no such card"))
		}
		return paid{"p-2"}, nil
	})
	for range 2 {
		_, err := tool.Call(testkit.Context(t), "order-1", charge{500, "vsa"})
		require.ErrorIs(t, err, idem.ErrRefused)
		require.Equal(t, "It was refused and nothing happened (no such card): mend the arguments, or do without it.", idem.Advice(err))
	}
	out, err := tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
	require.NoError(t, err)
	require.Equal(t, paid{"p-2"}, out)
	require.Len(t, r.list(), 2)
	require.NotEqual(t, r.list()[0].key, r.list()[1].key)
	mended, err := c.Lookup(testkit.Context(t), r.list()[1].key)
	require.NoError(t, err)
	require.Equal(t, r.list()[0].key, mended.Previous())
}

// Other arguments under a begun ID are never carried out, and the error names the
// first field that differs and no value.
func TestOtherArgumentsUnderAnIDAreAMismatch(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t))
	tool, r := chargeTool(t, c, idem.Policy{}, always(paid{"p-1"}, nil))
	_, err := tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
	require.NoError(t, err)
	_, err = tool.Call(testkit.Context(t), "order-1", charge{777, "visa"})
	require.ErrorIs(t, err, idem.ErrMismatch)
	require.ErrorContains(t, err, `"/cents"`)
	require.NotContains(t, err.Error(), "777")
	require.Len(t, r.list(), 1)
}

// A function that panics leaves the intent in doubt, which is recorded, and panics
// on in a caller; whoever joined is told that it is in doubt.
func TestAToolThatPanicsIsInDoubtAndPanicsOn(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t))
	inside, goOn := make(chan struct{}, 1), make(chan struct{})
	tool, err := idem.NewTool(c, "charge", idem.Policy{Contract: idem.Standard(), Retry: clientkit.Quick()},
		func(ctx context.Context, _ string, _ charge) (paid, error) {
			inside <- struct{}{}
			<-goOn
			panic("the printer is on fire")
		})
	require.NoError(t, err)
	call := func(ctx context.Context) (panicked any, err error) {
		defer func() { panicked = recover() }()
		_, err = tool.Call(ctx, "order-1", charge{500, "visa"})
		return nil, err
	}
	type end struct {
		err      error
		panicked any
	}
	ends := make(chan end, 2)
	go func() {
		panicked, err := call(testkit.Context(t))
		ends <- end{err, panicked}
	}()
	<-inside
	ctx := clientkit.Watch(testkit.Context(t), 1)
	go func() {
		panicked, err := call(ctx)
		ends <- end{err, panicked}
	}()
	ctx.Waiting(t)
	close(goOn)
	panics := 0
	for range 2 {
		got := <-ends
		if got.panicked != nil {
			require.Equal(t, "the printer is on fire", got.panicked)
			panics++
			continue
		}
		require.ErrorIs(t, got.err, idem.ErrInDoubt)
	}
	require.Equal(t, 1, panics)
	in := only(t, c)
	require.Equal(t, idem.InDoubt, in.State())
	require.Equal(t, 1, in.Attempts(), "it is not run again by itself")
	var recorded []string
	for _, e := range in.History() {
		if e.Err != nil {
			recorded = append(recorded, e.Reason+": "+e.Err.Error())
		}
	}
	require.Equal(t, []string{"panic: the function panicked: the printer is on fire"}, recorded)
}

// What cannot be called does nothing, records nothing, and says what to do.
func TestCallsThatCannotBeMade(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithMaxPayload(100))
	_, r := chargeTool(t, c, idem.Policy{}, always(paid{}, nil))
	for name, call := range map[string]struct {
		tool, id, args string
		is             error
		says           string
	}{
		"an unknown tool":      {"chrage", "1", `{}`, idem.ErrUnknownTool, "chrage"},
		"not JSON":             {"charge", "1", `{"cents":`, idem.ErrRefused, "unexpected EOF"},
		"nothing":              {"charge", "1", ``, idem.ErrRefused, "send {}"},
		"another type":         {"charge", "1", `{"cents":"five"}`, idem.ErrRefused, "cents"},
		"a field nobody reads": {"charge", "1", `{"cents":5,"tip":1}`, idem.ErrRefused, "tip"},
		"two values":           {"charge", "1", `{"cents":5}{"cents":6}`, idem.ErrRefused, "more than one"},
		"too long an input":    {"charge", "1", `{"card":"` + strings.Repeat("x", 100) + `"}`, idem.ErrRefused, "WithMaxPayload"},
		"too long an ID":       {"charge", strings.Repeat("x", 600), `{"cents":5}`, nil, "at most 512"},
	} {
		_, err := c.Call(testkit.Context(t), call.tool, call.id, json.RawMessage(call.args))
		require.ErrorContains(t, err, call.says, name)
		require.ErrorContains(t, err, "nothing was", name)
		if call.is != nil {
			require.ErrorIs(t, err, call.is, name)
			require.NotEmpty(t, idem.Advice(err), name)
		}
	}
	require.Empty(t, r.list())
	for range c.Intents(testkit.Context(t), idem.Filter{}) {
		require.Fail(t, "nothing was begun")
	}
	_, err := c.Call(testkit.Context(t), "charge", "1", json.RawMessage(`{"cents":5}`))
	require.NoError(t, err, "the same client works afterwards")
}

// A tool that cannot be registered says why, and what is registered stays.
func TestToolsThatCannotBeRegistered(t *testing.T) {
	t.Parallel()
	c := clientkit.NewClient(t, testkit.NewPath(t))
	fn := func(context.Context, string, charge) (paid, error) { return paid{"p-1"}, nil }
	_, err := idem.NewTool(c, "charge", idem.Policy{}, fn)
	require.NoError(t, err)
	closed, err := idem.Open(testkit.NewPath(t))
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for says, register := range map[string]func() (*idem.Tool[charge, paid], error){
		"registered already": func() (*idem.Tool[charge, paid], error) { return idem.NewTool(c, "charge", idem.Policy{}, fn) },
		"no name":            func() (*idem.Tool[charge, paid], error) { return idem.NewTool(c, "", idem.Policy{}, fn) },
		"needs a client":     func() (*idem.Tool[charge, paid], error) { return idem.NewTool(nil, "x", idem.Policy{}, fn) },
		"and a function": func() (*idem.Tool[charge, paid], error) {
			return idem.NewTool[charge, paid](c, "x", idem.Policy{}, nil)
		},
		"cannot be negative": func() (*idem.Tool[charge, paid], error) { return idem.NewTool(c, "x", idem.Policy{Window: -1}, fn) },
		"the client is closed": func() (*idem.Tool[charge, paid], error) {
			return idem.NewTool(closed, "x", idem.Policy{}, fn)
		},
	} {
		tool, err := register()
		require.ErrorContains(t, err, says)
		require.Nil(t, tool)
	}
	out, err := c.Call(testkit.Context(t), "charge", "1", json.RawMessage(`{"cents":5}`))
	require.NoError(t, err)
	require.JSONEq(t, `{"number":"p-1"}`, string(out))
}
