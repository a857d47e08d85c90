package idem_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// HangingTool opens a journal, calls the tool charge, says what its function was
// told, and hangs in it until it is killed.
func (children) HangingTool(l *testkit.Link) error {
	var args struct {
		Path   string
		Policy struct{ Kept bool }
	}
	if err := l.Args(&args); err != nil {
		return err
	}
	c, err := idem.Open(args.Path)
	if err != nil {
		return err
	}
	p := idem.Policy{}
	if args.Policy.Kept {
		p.Contract = idem.Standard()
	}
	tool, err := idem.NewTool(c, "charge", p, func(_ context.Context, key string, in charge) (paid, error) {
		l.Say("%s %d %s", key, in.Cents, in.Card)
		l.Hear()
		return paid{}, errors.New("nobody told it to go on")
	})
	if err != nil {
		return err
	}
	_, err = tool.Call(idem.WithScope(context.Background(), "run-42"), "order-1", charge{500, "visa"})
	return err
}

// killedInside leaves a journal whose one intent's owner was killed inside the
// function, and the key that it had.
func killedInside(t testing.TB, kept bool) (path, key string) {
	t.Helper()
	path = testkit.NewPath(t)
	child := testkit.StartChild(t, "HangingTool", map[string]any{"Path": path, "Policy": map[string]any{"Kept": kept}})
	key, rest, _ := strings.Cut(child.Hear(), " ")
	require.Equal(t, "500 visa", rest)
	child.Kill()
	return path, key
}

// A killed tool is run again by Recover with the same key and the same input, if
// the far side keeps keys; the outcome is then handed out to whoever asks.
func TestAKilledToolIsRunAgainWithTheSameKeyAndInput(t *testing.T) {
	t.Parallel()
	path, key := killedInside(t, true)
	c := clientkit.NewClient(t, path)
	tool, r := chargeTool(t, c, idem.Policy{Contract: idem.Standard()}, always(paid{"p-1"}, nil))
	report, err := c.Recover(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{Succeeded: 1}, report)
	require.Equal(t, []told{{key, charge{500, "visa"}}}, r.list())
	out, err := tool.Call(idem.WithScope(testkit.Context(t), "run-42"), "order-1", charge{500, "visa"})
	require.NoError(t, err)
	require.Equal(t, paid{"p-1"}, out)
	require.Len(t, r.list(), 1)
}

// Without a promise about keys it is never run again by itself: it is in doubt,
// until Reconcile or a person says what happened.
func TestAKilledToolWithoutAContractIsInDoubt(t *testing.T) {
	t.Parallel()
	path, key := killedInside(t, false)
	c := clientkit.NewClient(t, path)
	tool, r := chargeTool(t, c, idem.Policy{}, always(paid{"p-1"}, nil))
	report, err := c.Recover(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{InDoubt: 1}, report)
	ctx := idem.WithScope(testkit.Context(t), "run-42")
	_, err = tool.Call(ctx, "order-1", charge{500, "visa"})
	var doubt *idem.InDoubtError
	require.ErrorAs(t, err, &doubt)
	require.Equal(t, key, doubt.Key)
	require.Empty(t, r.list())

	require.ErrorContains(t, c.Resolve(testkit.Context(t), key, idem.Resolution{State: idem.Succeeded, Result: []byte("not JSON")}), "not JSON")
	require.NoError(t, c.Resolve(testkit.Context(t), key, idem.Resolution{State: idem.Succeeded, Result: []byte(`{"number":"by hand"}`), Note: "Ada looked"}))
	out, err := tool.Call(ctx, "order-1", charge{500, "visa"})
	require.NoError(t, err)
	require.Equal(t, paid{"by hand"}, out)
	require.Empty(t, r.list())
}

// Reconcile settles what may not be run again.
func TestAKilledToolIsReconciled(t *testing.T) {
	t.Parallel()
	path, key := killedInside(t, false)
	c := clientkit.NewClient(t, path)
	p := idem.Policy{Reconcile: func(ctx context.Context, in *idem.Intent) (idem.Resolution, error) {
		same, _ := idem.FromContext(ctx)
		require.Same(t, in, same)
		require.JSONEq(t, `{"cents":500,"card":"visa"}`, string(in.Payload()))
		return idem.Resolution{State: idem.Succeeded, Result: []byte(`{"number":"` + in.Key() + `"}`)}, nil
	}}
	tool, r := chargeTool(t, c, p, always(paid{"p-1"}, nil))
	report, err := c.Recover(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{Succeeded: 1}, report)
	out, err := tool.Call(idem.WithScope(testkit.Context(t), "run-42"), "order-1", charge{500, "visa"})
	require.NoError(t, err)
	require.Equal(t, paid{key}, out)
	require.Empty(t, r.list())
}

// A recovered function that panics is in doubt, and Recover panics on.
func TestARecoveredToolThatPanicsPanicsOn(t *testing.T) {
	t.Parallel()
	path, _ := killedInside(t, true)
	c := clientkit.NewClient(t, path)
	chargeTool(t, c, idem.Policy{Contract: idem.Standard()}, func(int) (paid, error) { panic("boom") })
	require.PanicsWithValue(t, "boom", func() { c.Recover(testkit.Context(t)) })
	require.Equal(t, idem.InDoubt, only(t, c).State())
}

// What has no tool registered, or another version or account, is Skipped and left
// as it is; once it is registered, Recover finishes it.
func TestRecoverSkipsWhatItMayNotRun(t *testing.T) {
	t.Parallel()
	path, _ := killedInside(t, true)
	for reason, p := range map[string]*idem.Policy{
		"tool not registered": nil,
		"version changed":     {Contract: idem.Standard(), Version: "2"},
		"account changed":     {Contract: idem.Standard(), Account: "acct_2"},
	} {
		c, err := idem.Open(path)
		require.NoError(t, err)
		if p != nil {
			chargeTool(t, c, *p, always(paid{"p-1"}, nil))
		}
		report, err := c.Recover(testkit.Context(t))
		require.NoError(t, err, reason)
		require.Equal(t, idem.Report{Skipped: 1, Reasons: map[string]int{reason: 1}}, report)
		require.Equal(t, idem.Pending, only(t, c).State(), reason)
		require.Equal(t, reason, lastOf(only(t, c)).Note)
		require.NoError(t, c.Close())
	}
	c := clientkit.NewClient(t, path)
	chargeTool(t, c, idem.Policy{Contract: idem.Standard()}, always(paid{"p-1"}, nil))
	report, err := c.Recover(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{Succeeded: 1}, report)
}

// lastOf returns the newest entry of an intent's history.
func lastOf(in *idem.Intent) idem.Event {
	history := in.History()
	return history[len(history)-1]
}

// TestRecover_SkipsAgain_RecordsANewReasonOnly tests that Recover adds an entry to the
// history of a skipped intent if the reason is a new one, and logs a line each time.
func TestRecover_SkipsAgain_RecordsANewReasonOnly(t *testing.T) {
	t.Parallel()
	path, key := killedInside(t, true)
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	p := idem.Policy{Contract: idem.Standard(), Version: "2"}
	for _, register := range []bool{false, true} {
		c := clientkit.NewClient(t, path, idem.WithLogger(logger))
		if register {
			chargeTool(t, c, p, always(paid{"p-1"}, nil))
		}
		for range 3 {
			_, err := c.Recover(testkit.Context(t))
			require.NoError(t, err)
		}
		require.NoError(t, c.Close())
	}
	var notes []string
	for _, e := range clientkit.ReadJournal(t, path)[0].History()[1:] {
		require.Equal(t, "skipped", e.Reason)
		notes = append(notes, e.Note)
	}
	require.Equal(t, []string{"tool not registered", "version changed"}, notes)
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 6)
	var line struct{ Level, Operation, Key, Reason string }
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &line))
	require.Equal(t, "WARN", line.Level)
	require.Equal(t, []string{"charge", key, "tool not registered"}, []string{line.Operation, line.Key, line.Reason})
}

// TestRecover_UnsendableIntent_IsInDoubt tests that Recover marks an intent in doubt that
// it may not execute, if it may have been sent and its contract keeps no keys.
func TestRecover_UnsendableIntent_IsInDoubt(t *testing.T) {
	t.Parallel()
	for reason, register := range map[string]func(testing.TB, *idem.Client){
		"tool not registered": func(testing.TB, *idem.Client) {},
		"version changed": func(t testing.TB, c *idem.Client) {
			chargeTool(t, c, idem.Policy{Version: "2"}, always(paid{"p-1"}, nil))
		},
		"account changed": func(t testing.TB, c *idem.Client) {
			chargeTool(t, c, idem.Policy{Account: "acct_2"}, always(paid{"p-1"}, nil))
		},
		"input does not decode": func(t testing.TB, c *idem.Client) {
			_, err := idem.NewTool(c, "charge", idem.Policy{}, func(context.Context, string, renamed) (paid, error) { panic("it ran") })
			require.NoError(t, err)
		},
	} {
		path, _ := killedInside(t, false)
		c := clientkit.NewClient(t, path)
		register(t, c)
		for range 2 {
			report, err := c.Recover(testkit.Context(t))
			require.NoError(t, err, reason)
			require.Equal(t, idem.Report{InDoubt: 1}, report, reason)
		}
		in := only(t, c)
		require.Equal(t, idem.InDoubt, in.State(), reason)
		require.Len(t, in.History(), 3, reason)
		require.Contains(t, lastOf(in).Note, reason)
	}
}

// A policy that promises less than was journaled, or more, is not believed beyond
// what both say.
func TestRecoverTakesTheStricterContract(t *testing.T) {
	t.Parallel()
	for _, kept := range []bool{true, false} {
		path, _ := killedInside(t, kept)
		c := clientkit.NewClient(t, path)
		p := idem.Policy{Contract: idem.Standard()}
		if kept {
			p.Contract = idem.Contract{}
		}
		_, r := chargeTool(t, c, p, always(paid{"p-1"}, nil))
		report, err := c.Recover(testkit.Context(t))
		require.NoError(t, err)
		require.Equal(t, idem.Report{InDoubt: 1}, report)
		require.Empty(t, r.list())
	}
}

type renamed struct {
	Amount int    `json:"amount"`
	Card   string `json:"card"`
}

type retyped struct {
	Cents string `json:"cents"`
	Card  string `json:"card"`
}

type deaf struct{ Cents, Card string }

// UnmarshalJSON takes everything and keeps nothing.
func (*deaf) UnmarshalJSON([]byte) error { return nil }

type grown struct {
	Cents int    `json:"cents"`
	Card  string `json:"card"`
	Memo  string `json:"memo"`
}

// changed registers the tool charge with another type of input.
func changed[In any](t testing.TB, c *idem.Client) (call func(id string, args string) error, ran *int) {
	t.Helper()
	ran = new(int)
	_, err := idem.NewTool(c, "charge", idem.Policy{Contract: idem.Standard()}, func(context.Context, string, In) (paid, error) {
		*ran++
		return paid{"p-1"}, nil
	})
	require.NoError(t, err)
	return func(id, args string) error {
		_, err := c.Call(idem.WithScope(testkit.Context(t), "run-42"), "charge", id, json.RawMessage(args))
		return err
	}, ran
}

// An input that today's type does not keep is a clear error; the intent is left as
// it is, and what else is open is recovered all the same.
func TestAnInputThatNoLongerDecodesIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	for says, register := range map[string]func(testing.TB, *idem.Client) (func(string, string) error, *int){
		`unknown field "cents"`:    changed[renamed],
		"cannot unmarshal number":  changed[retyped],
		`JSON field "/card" comes`: changed[deaf],
	} {
		path, key := killedInside(t, true)
		c := clientkit.NewClient(t, path)
		other, err := idem.NewTool(c, "other", idem.Policy{}, func(context.Context, string, charge) (paid, error) {
			return paid{}, idem.NotSent(errors.New("offline"))
		})
		require.NoError(t, err)
		ctx, end := context.WithCancel(testkit.Context(t))
		end()
		_, err = other.Call(ctx, "1", charge{})
		require.Error(t, err)

		_, ran := register(t, c)
		report, err := c.Recover(testkit.Context(t))
		require.ErrorContains(t, err, says)
		require.ErrorContains(t, err, "no longer decodes")
		require.ErrorContains(t, err, "left as it is")
		require.ErrorContains(t, err, key)
		require.Empty(t, idem.Advice(err), "that is the program's business")
		require.Equal(t, idem.Report{Skipped: 1, Reasons: map[string]int{"input does not decode": 1}}, report)
		require.Zero(t, *ran)
		in := only(t, c)
		require.Equal(t, idem.Pending, in.State())
		require.Equal(t, "input does not decode", lastOf(in).Note)
	}
}

// A field that the type has got since changes nothing: what was begun without it is
// recovered and replayed, and another value in it is a mismatch.
func TestAFieldThatWasAddedSinceChangesNothing(t *testing.T) {
	t.Parallel()
	path, _ := killedInside(t, true)
	c := clientkit.NewClient(t, path)
	call, ran := changed[grown](t, c)
	report, err := c.Recover(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{Succeeded: 1}, report)
	require.NoError(t, call("order-1", `{"cents":500,"card":"visa"}`))
	err = call("order-1", `{"cents":500,"card":"visa","memo":"rush"}`)
	require.ErrorIs(t, err, idem.ErrMismatch)
	require.ErrorContains(t, err, `"/memo"`)
	require.Equal(t, 1, *ran)
}
