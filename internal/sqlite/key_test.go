//go:build cgo

package sqlite_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// A key tells the far side nothing of the ID that it is for: no part of it is the
// same in two journals, or in two intents of much the same name.
func TestAKeyTellsNothing(t *testing.T) {
	t.Parallel()
	seen := map[string]string{} // eight digits of a key, by their place in it, and whose they are
	for journal := range 3 {
		c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", clientkit.Stripe()))
		for i := range 20 {
			in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: fmt.Sprint(i)}, testkit.NewInvoice(t, "http://api.invalid", 5))
			require.NoError(t, err)
			me := fmt.Sprintf("ID %d of journal %d", i, journal)
			for _, from := range []int{0, 28} {
				part := fmt.Sprint(from, " ", in.Key()[from:from+8])
				require.Empty(t, seen[part], "%s has it too", me)
				seen[part] = me
			}
		}
	}
}

// Every intent is found by its key after a restart, whichever way its key was made:
// by the journal, so that it leads to the identity, for an intent without an ID, or
// by the contract. To the far side a usual key is a random UUID of version 4.
func TestLookupByEveryKindOfKey(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	own := func() string { return "own-" + uuid.NewString() }
	options := []idem.Option{
		idem.WithPolicy("charge", idem.Policy{Contract: idem.Stripe()}),
		idem.WithPolicy("own", idem.Policy{Contract: idem.Contract{NewKey: own}}),
		idem.WithPolicy("uuid", idem.Policy{Contract: idem.Contract{NewKey: uuid.NewString}}),
	}
	c := clientkit.NewClient(t, path, options...)
	operations := []idem.Operation{
		{Name: "charge", Scope: "run-1", ID: "order-1"}, {Name: "charge", Scope: "run-2", ID: "order-1"},
		{Name: "charge", ID: "order-1"}, {Name: "charge", ID: "order-1", Repeat: 1}, {Name: "charge"}, {Name: "charge"},
		{Name: "own", ID: "order-1"}, {Name: "uuid", ID: "order-1"}, {Name: "uuid"},
	}
	keys := map[string]idem.Operation{}
	for _, op := range operations {
		in, err := c.Begin(testkit.Context(t), op, testkit.NewInvoice(t, "http://api.invalid", 5))
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

	c = clientkit.NewClient(t, path, options...)
	for key, op := range keys {
		in, err := c.Lookup(testkit.Context(t), key)
		require.NoError(t, err)
		require.NotNil(t, in, "%s", op)
		require.Equal(t, op, in.Operation())
	}
	_, err := c.Lookup(testkit.Context(t), uuid.NewString())
	require.Error(t, err)
}

// No key is ever given to two intents: a contract that hands out one that the journal
// made for another intent is refused, and nothing is begun.
func TestAKeyOfTheJournalsIsNotTakenTwice(t *testing.T) {
	t.Parallel()
	key := ""
	c := clientkit.NewClient(t, testkit.NewPath(t),
		idem.WithPolicy("charge", idem.Policy{Contract: idem.Stripe()}),
		idem.WithPolicy("thief", idem.Policy{Contract: idem.Contract{NewKey: func() string { return key }}}))
	in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "order-1"}, testkit.NewInvoice(t, "http://api.invalid", 5))
	require.NoError(t, err)
	key = in.Key()
	for _, id := range []string{"order-1", "order-2", ""} {
		_, err = c.Begin(testkit.Context(t), idem.Operation{Name: "thief", ID: id}, testkit.NewInvoice(t, "http://api.invalid", 5))
		require.ErrorContains(t, err, "another intent's already")
	}
}

// Likewise where the key was made for one identity and used first for another.
func TestAKeyOfAnotherIdentityIsNotTakenTwice(t *testing.T) {
	t.Parallel()
	var key string
	seen := idem.Contract{CheckKey: func(k string) error { key = k; return errors.New("seen") }}
	given := idem.Contract{NewKey: func() string { return key }}
	path := testkit.NewPath(t)
	charge := idem.Operation{Name: "charge", ID: "order-1"}
	c := clientkit.NewClient(t, path, idem.WithPolicy("charge", idem.Policy{Contract: seen}))
	_, err := c.Begin(testkit.Context(t), charge, testkit.NewInvoice(t, "http://api.invalid", 5))
	require.ErrorContains(t, err, "seen")
	require.NoError(t, c.Close())

	c = clientkit.NewClient(t, path, idem.WithPolicy("charge", idem.Policy{Contract: given}), idem.WithPolicy("other", idem.Policy{Contract: given}))
	in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "other", ID: "order-2"}, testkit.NewInvoice(t, "http://api.invalid", 5))
	require.NoError(t, err)
	require.Equal(t, key, in.Key())
	_, err = c.Begin(testkit.Context(t), charge, testkit.NewInvoice(t, "http://api.invalid", 5))
	require.ErrorContains(t, err, "another intent's already")
}
