package idem_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// Every intent is found by its key after a restart, whichever way its key was made:
// by the journal, so that it leads to the identity, for an intent without an ID, or
// by the contract. To the far side a usual key is a random UUID of version 4.
func TestLookupByEveryKindOfKey(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	own := func() string { return "own-" + uuid.NewString() }
	options := []idem.Option{
		idem.WithPolicy("charge", idem.Policy{Contract: idem.Stripe()}),
		idem.WithPolicy("own", idem.Policy{Contract: idem.Contract{NewKey: own}}),
		idem.WithPolicy("uuid", idem.Policy{Contract: idem.Contract{NewKey: uuid.NewString}}),
	}
	c := newClient(t, path, options...)
	operations := []idem.Operation{
		{Name: "charge", Scope: "run-1", ID: "order-1"}, {Name: "charge", Scope: "run-2", ID: "order-1"},
		{Name: "charge", ID: "order-1"}, {Name: "charge", ID: "order-1", Repeat: 1}, {Name: "charge"}, {Name: "charge"},
		{Name: "own", ID: "order-1"}, {Name: "uuid", ID: "order-1"}, {Name: "uuid"},
	}
	keys := map[string]idem.Operation{}
	for _, op := range operations {
		in, err := c.Begin(testCtx(t), op, newInvoice(t, "http://api.invalid", 5))
		require.NoError(t, err)
		if op.Name == "charge" {
			id, err := uuid.Parse(in.Key())
			require.NoError(t, err)
			require.EqualValues(t, 4, id.Version())
			require.Equal(t, uuid.RFC4122, id.Variant())
		}
		keys[in.Key()] = op
	}
	require.Len(t, keys, len(operations), "each has its own")
	require.NoError(t, c.Close())

	c = newClient(t, path, options...)
	for key, op := range keys {
		in, err := c.Lookup(testCtx(t), key)
		require.NoError(t, err)
		require.NotNil(t, in, "%s", op)
		require.Equal(t, op, in.Operation())
	}
	_, err := c.Lookup(testCtx(t), uuid.NewString())
	require.Error(t, err)
}

// No key is ever given to two intents: a contract that hands out one that the journal
// made for another intent is refused, and nothing is begun.
func TestAKeyOfTheJournalsIsNotTakenTwice(t *testing.T) {
	t.Parallel()
	key := ""
	c := newClient(t, newPath(t),
		idem.WithPolicy("charge", idem.Policy{Contract: idem.Stripe()}),
		idem.WithPolicy("thief", idem.Policy{Contract: idem.Contract{NewKey: func() string { return key }}}))
	in, err := c.Begin(testCtx(t), idem.Operation{Name: "charge", ID: "order-1"}, newInvoice(t, "http://api.invalid", 5))
	require.NoError(t, err)
	key = in.Key()
	for _, id := range []string{"order-1", "order-2", ""} {
		_, err = c.Begin(testCtx(t), idem.Operation{Name: "thief", ID: id}, newInvoice(t, "http://api.invalid", 5))
		require.ErrorContains(t, err, "another intent's already")
	}
}

// Likewise where the key was made for one identity and used first for another.
func TestAKeyOfAnotherIdentityIsNotTakenTwice(t *testing.T) {
	t.Parallel()
	var key string
	seen := idem.Contract{CheckKey: func(k string) error { key = k; return errors.New("seen") }}
	given := idem.Contract{NewKey: func() string { return key }}
	path := newPath(t)
	charge := idem.Operation{Name: "charge", ID: "order-1"}
	c := newClient(t, path, idem.WithPolicy("charge", idem.Policy{Contract: seen}))
	_, err := c.Begin(testCtx(t), charge, newInvoice(t, "http://api.invalid", 5))
	require.ErrorContains(t, err, "seen")
	require.NoError(t, c.Close())

	c = newClient(t, path, idem.WithPolicy("charge", idem.Policy{Contract: given}), idem.WithPolicy("other", idem.Policy{Contract: given}))
	in, err := c.Begin(testCtx(t), idem.Operation{Name: "other", ID: "order-2"}, newInvoice(t, "http://api.invalid", 5))
	require.NoError(t, err)
	require.Equal(t, key, in.Key())
	_, err = c.Begin(testCtx(t), charge, newInvoice(t, "http://api.invalid", 5))
	require.ErrorContains(t, err, "another intent's already")
}
