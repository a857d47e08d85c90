package idem_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// sdkTool registers the tool charge, whose function uses an SDK on the world's
// server.
func sdkTool(w *clientkit.World, c *idem.Client, p idem.Policy, tries int, fn func(ctx context.Context, s sdk, in charge) (paid, error)) *idem.Tool[charge, paid] {
	w.T.Helper()
	w.OtherBytes = true // the tool's payload is its input, not what its function sends
	s := newSDK(c, w.Server.URL(), tries)
	tool, err := idem.NewTool(c, "charge", p, func(ctx context.Context, _ string, in charge) (paid, error) { return fn(ctx, s, in) })
	require.NoError(w.T, err)
	return tool
}

// oneCharge is what most functions here do: one write, whose refusal is told.
func oneCharge(ctx context.Context, s sdk, in charge) (paid, error) {
	status, body, err := s.post(ctx, "charges", fmt.Sprintf("amount=%d&currency=usd", in.Cents))
	switch {
	case err != nil:
		return paid{}, err
	case status >= 400:
		return paid{}, idem.Refused(fmt.Errorf("status %d: %s", status, body))
	}
	return paid{"p-1"}, nil
}

// Inside a tool the write carries the tool's key, and each try that the SDK makes
// by itself is an attempt of the tool's intent, journaled as such.
func TestAToolsWriteCarriesItsKeyAndCountsItsAttempts(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	require.NoError(t, w.Server.Script(idemtest.Fault{Kind: idemtest.DropAfter}, idemtest.Fault{Kind: idemtest.Unavailable503}))
	c := w.Open()
	tool := sdkTool(w, c, clientkit.Stripe(), 3, oneCharge)
	out, err := tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
	require.NoError(t, err)
	require.Equal(t, paid{"p-1"}, out)
	in := only(t, c)
	require.Equal(t, 3, in.Attempts())
	var tries []string
	for _, e := range in.History() {
		if e.Attempt > 0 {
			tries = append(tries, fmt.Sprint(e.Attempt, " ", e.Status))
		}
	}
	require.Equal(t, []string{"1 0", "2 503", "3 200"}, tries)
	for _, a := range w.Server.Arrivals() {
		require.Equal(t, in.Key(), a.Key)
	}
	require.Len(t, w.Server.Effects(), 1)
	require.False(t, in.FirstSent().IsZero())
	s, err := c.Stats(testkit.Context(t))
	require.NoError(t, err)
	require.EqualValues(t, 1, s.ByReason["server_replayed"], "the server said that its last reply was a stored one")
	w.UncheckedIn(c)
}

// What went over the wire overrules what the function says of it.
func TestTheWireOverrulesWhatAToolSays(t *testing.T) {
	t.Parallel()
	says := errors.New("the function's words")
	for name, c := range map[string]struct {
		fault   idemtest.FaultKind
		path    string // "": no write
		form    string
		says    error
		state   idem.State
		is, not error
	}{
		"no write, not sent":            {idemtest.NoFault, "", "", idem.NotSent(says), idem.Failed, idem.ErrNotSent, idem.ErrInDoubt},
		"no write, refused":             {idemtest.NoFault, "", "", idem.Refused(says), idem.Failed, idem.ErrRefused, idem.ErrInDoubt},
		"done, says not sent":           {idemtest.NoFault, "charges", fiveDollars, idem.NotSent(says), idem.InDoubt, idem.ErrInDoubt, nil},
		"done, says refused":            {idemtest.NoFault, "charges", fiveDollars, idem.Refused(says), idem.InDoubt, idem.ErrInDoubt, nil},
		"reply lost, says not sent":     {idemtest.DropAfter, "charges", fiveDollars, idem.NotSent(says), idem.InDoubt, idem.ErrInDoubt, nil},
		"reply lost, says refused":      {idemtest.DropAfter, "charges", fiveDollars, idem.Refused(says), idem.InDoubt, idem.ErrInDoubt, nil},
		"502, says refused":             {idemtest.Proxy502After, "charges", fiveDollars, idem.Refused(says), idem.InDoubt, idem.ErrInDoubt, nil},
		"409 in flight, says not sent":  {idemtest.InFlightForced, "charges", fiveDollars, idem.NotSent(says), idem.InDoubt, idem.ErrInDoubt, nil},
		"mismatch, says refused":        {idemtest.MismatchForced, "charges", fiveDollars, idem.Refused(says), idem.InDoubt, idem.ErrInDoubt, nil},
		"refused, says not sent":        {idemtest.NoFault, "charges", "amount=-1&currency=usd", idem.NotSent(says), idem.Failed, idem.ErrRefused, idem.ErrNotSent},
		"refused, says refused":         {idemtest.NoFault, "charges", "amount=-1&currency=usd", idem.Refused(says), idem.Failed, idem.ErrRefused, idem.ErrNotSent},
		"refused for now, says refused": {idemtest.Unauthorized401, "charges", fiveDollars, idem.Refused(says), idem.Failed, idem.ErrRefused, idem.ErrNotSent},
		"refused, says nothing of it":   {idemtest.NoFault, "charges", "amount=-1&currency=usd", says, idem.InDoubt, idem.ErrInDoubt, nil},
		"reply lost, says it is done":   {idemtest.DropAfter, "charges", fiveDollars, nil, idem.Succeeded, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			require.NoError(t, w.Server.Script(idemtest.Fault{Kind: c.fault}))
			client := w.Open()
			p := clientkit.Stripe()
			p.Retry.MaxAttempts = 1
			tool := sdkTool(w, client, p, 1, func(ctx context.Context, s sdk, _ charge) (paid, error) {
				if c.path != "" {
					s.post(ctx, c.path, c.form)
				}
				return paid{"p-1"}, c.says
			})
			_, err := tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
			if c.is == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, c.is)
				require.ErrorContains(t, err, "the function's words")
			}
			if c.not != nil {
				require.NotErrorIs(t, err, c.not)
			}
			require.Equal(t, c.state, only(t, client).State())
			w.UncheckedIn(client)
		})
	}
}

// A refusal for a passing reason may be asked again under the same key, whatever
// the function made of it; a refusal for good is handed out again.
func TestAPassingRefusalInsideAToolMayBeAskedAgain(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	require.NoError(t, w.Server.Script(idemtest.Fault{Kind: idemtest.Unauthorized401}))
	c := w.Open()
	tool := sdkTool(w, c, clientkit.Stripe(), 1, oneCharge)
	_, err := tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
	require.ErrorIs(t, err, idem.ErrRefused)
	_, err = tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
	require.NoError(t, err)
	require.Len(t, w.Server.Effects(), 1)
	require.Equal(t, only(t, c).Key(), w.Server.Effects()[0].Key)
	w.UncheckedIn(c)
}

// What never reached the wire is not sent, in the SDK's own words too.
func TestAToolWhoseWriteNeverLeftIsNotSent(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open()
	tool, err := idem.NewTool(c, "charge", clientkit.Stripe(), func(ctx context.Context, _ string, in charge) (paid, error) {
		_, _, err := newSDK(c, w.Server.RefusedURL(), 1).post(ctx, "charges", fiveDollars)
		return paid{}, err
	})
	require.NoError(t, err)
	_, err = tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
	require.ErrorIs(t, err, idem.ErrNotSent)
	require.Equal(t, idem.Failed, only(t, c).State())
	require.True(t, only(t, c).FirstSent().IsZero())
}

// A tool without names for its writes has one: the same write again gets the same
// reply without being sent, another one is a mismatch and is not sent.
func TestAToolsSecondWriteNeedsAName(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open()
	tool := sdkTool(w, c, clientkit.PromisesNothing(), 1, func(ctx context.Context, s sdk, in charge) (paid, error) {
		_, first, err := s.post(ctx, "charges", fiveDollars)
		require.NoError(t, err)
		_, second, err := s.post(ctx, "charges", fiveDollars)
		require.NoError(t, err)
		require.Equal(t, first, second)
		_, _, err = s.post(ctx, "charges", tenDollars)
		require.ErrorIs(t, err, idem.ErrMismatch)
		require.ErrorContains(t, err, "WithOperation")
		return paid{"p-1"}, nil
	})
	_, err := tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
	require.NoError(t, err)
	require.Len(t, w.Server.Arrivals(), 1)
	w.UncheckedIn(c)
}

// Where the far side promises nothing, an SDK inside a tool cannot send again what
// may have had its effect.
func TestAnSDKInsideAToolCannotSendAgainWithoutAContract(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	require.NoError(t, w.Server.Script(idemtest.Fault{Kind: idemtest.DropAfter}))
	c := w.Open()
	tool := sdkTool(w, c, clientkit.PromisesNothing(), 3, oneCharge)
	for range 2 {
		_, err := tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
		require.ErrorIs(t, err, idem.ErrInDoubt)
	}
	require.Len(t, w.Server.Arrivals(), 1)
	w.UncheckedIn(c)
}

// Once the function has returned, what it left running writes no more under the
// tool's key.
func TestNothingIsWrittenUnderAToolsKeyAfterItReturned(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open()
	var left context.Context
	tool := sdkTool(w, c, clientkit.Stripe(), 1, func(ctx context.Context, s sdk, in charge) (paid, error) {
		left = context.WithoutCancel(ctx)
		return paid{}, idem.NotSent(errors.New("tomorrow"))
	})
	_, err := tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
	require.ErrorIs(t, err, idem.ErrNotSent)
	_, _, err = newSDK(c, w.Server.URL(), 1).post(left, "charges", fiveDollars)
	require.ErrorIs(t, err, idem.ErrNotSent)
	require.ErrorContains(t, err, "has returned")
	require.Empty(t, w.Server.Arrivals())
}

// Each named write inside a tool is a child: an intent of its own, whose scope is
// the parent's key. A function that runs again meets its children and repeats none,
// named or not.
func TestNamedWritesInsideAToolAreChildren(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c := w.Open(idem.WithPolicy("bill", clientkit.Stripe()), idem.WithPolicy("note", clientkit.Stripe()), idem.WithRequireScope())
	ran := 0
	tool := sdkTool(w, c, idem.Policy{Contract: idem.Natural(), Retry: clientkit.Quick()}, 2, func(ctx context.Context, s sdk, in charge) (paid, error) {
		ran++
		for i, name := range []string{"bill", "bill", "note"} {
			op := idem.Operation{Name: name, ID: fmt.Sprint(i)}
			if name == "note" {
				op.ID = "" // the only one of its name
			}
			child := idem.WithOperation(ctx, op)
			if _, _, err := s.post(child, "invoices", fiveDollars); err != nil {
				return paid{}, err
			}
			in, ok := idem.FromContext(child)
			require.True(t, ok)
			parent, _ := idem.FromContext(ctx)
			require.Equal(t, parent.Key(), in.Operation().Scope)
		}
		if ran < 3 {
			return paid{}, errors.New("died just before the end")
		}
		return paid{"p-1"}, nil
	})
	_, err := tool.Call(idem.WithScope(testkit.Context(t), "run-42"), "order-1", charge{500, "visa"})
	require.NoError(t, err)
	require.Equal(t, 3, ran)
	require.Len(t, w.Server.Effects(), 3)
	require.Len(t, w.Server.Arrivals(), 3)
	require.NotEqual(t, w.Server.Effects()[0].Key, w.Server.Effects()[1].Key)
	w.UncheckedIn(c)
}

// A tool whose child did something, or may have, cannot say that nothing happened.
func TestAToolIsNotUnsentWhereItsChildWas(t *testing.T) {
	t.Parallel()
	for _, fault := range []idemtest.FaultKind{idemtest.NoFault, idemtest.DropAfter} {
		w := clientkit.NewWorld(t)
		require.NoError(t, w.Server.Script(idemtest.Fault{Kind: fault}))
		c := w.Open(idem.WithPolicy("bill", clientkit.PromisesNothing()))
		tool := sdkTool(w, c, idem.Policy{Retry: clientkit.Quick()}, 1, func(ctx context.Context, s sdk, in charge) (paid, error) {
			s.post(idem.WithOperation(ctx, idem.Operation{Name: "bill"}), "invoices", fiveDollars)
			return paid{}, idem.NotSent(errors.New("I believe"))
		})
		_, err := tool.Call(testkit.Context(t), "order-1", charge{500, "visa"})
		require.ErrorIs(t, err, idem.ErrInDoubt)
		w.UncheckedIn(c)
	}
}
