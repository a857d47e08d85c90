package idemtest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"github.com/idem-go/idem/idemtest"
	"github.com/stretchr/testify/require"
)

func sha(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// honest is a ledger of one charge under key k, retried once, and the journal
// that goes with it.
func honest() (idemtest.Ledger, idemtest.KnownIntent) {
	l := idemtest.Ledger{
		Arrivals: []idemtest.Arrival{
			{Seq: 1, Method: "POST", Path: "/v1/charges", Key: "k", BodyHash: sha("p"), Done: true, EffectID: "eff_1"},
			{Seq: 2, Method: "POST", Path: "/v1/charges", Key: "k", BodyHash: sha("p"), Done: true, EffectID: "eff_1", Status: 200},
			{Seq: 3, Method: "GET", Path: "/v1/charges", Key: "k", BodyHash: sha(""), Done: true, Status: 200},
		},
		Effects: []idemtest.Effect{{ID: "eff_1", Kind: "charge", Object: "ch_1", Key: "k", Arrival: 1, Generation: 1}},
		Keys:    []idemtest.KeyRecord{{Key: "k", Generation: 1, Status: 200, Body: []byte(`{"id":"ch_1"}`), EffectID: "eff_1"}},
		Objects: map[string]json.RawMessage{"ch_1": json.RawMessage(`{"id":"ch_1"}`)},
	}
	return l, idemtest.KnownIntent{Key: "k", State: "succeeded", Outcome: []byte(`{"id":"ch_1"}`), Body: sha("p"), Attempts: 2, FirstSent: time.Now()}
}

// An honest ledger breaks no rule, and each rule fires when its promise alone
// is broken.
func TestEachRuleFires(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		rule  idemtest.Rule // empty: nothing fires
		spoil func(l *idemtest.Ledger, k *idemtest.KnownIntent)
		want  string // in the text
	}{
		"honest": {spoil: func(*idemtest.Ledger, *idemtest.KnownIntent) {}},
		"two effects of one key": {rule: idemtest.RuleOneEffect, want: "key k: 2 effects of one execution (arrivals [1 2]) (effects eff_1, eff_2)",
			spoil: func(l *idemtest.Ledger, k *idemtest.KnownIntent) {
				l.Effects = append(l.Effects, idemtest.Effect{ID: "eff_2", Key: "k", Arrival: 2, Generation: 1, Object: "ch_1"})
				k.State, k.Outcome = "pending", nil // so that only this rule speaks
			}},
		"two effects, the key had expired": {
			spoil: func(l *idemtest.Ledger, _ *idemtest.KnownIntent) {
				l.Effects = append(l.Effects, idemtest.Effect{ID: "eff_2", Key: "k", Arrival: 2, Generation: 2})
			}},
		"two effects, keys ignored": {
			spoil: func(l *idemtest.Ledger, k *idemtest.KnownIntent) {
				l.Effects = append(l.Effects, idemtest.Effect{ID: "eff_2", Key: "k", Arrival: 2, Generation: 1})
				l.KeysIgnored, k.State = true, "indoubt"
			}},
		"two payloads": {rule: idemtest.RuleOnePayload, want: "then as POST /v1/charges body",
			spoil: func(l *idemtest.Ledger, k *idemtest.KnownIntent) {
				l.Arrivals[1].BodyHash, k.Body = sha("q"), ""
			}},
		"two paths": {rule: idemtest.RuleOnePayload, want: "then as POST /v1/refunds",
			spoil: func(l *idemtest.Ledger, _ *idemtest.KnownIntent) { l.Arrivals[1].Path = "/v1/refunds" }},
		"no key where one is required": {rule: idemtest.RuleKeyRequired, want: "an effect without a key",
			spoil: func(l *idemtest.Ledger, k *idemtest.KnownIntent) {
				l.KeyRequired = true
				l.Effects[0].Key, l.Keys[0].Key = "", ""
				l.Arrivals, k.Key, k.State = nil, "", "pending"
			}},
		"an effect that nobody knows": {rule: idemtest.RuleKnownEffect, want: "an effect that no intent knows",
			spoil: func(l *idemtest.Ledger, _ *idemtest.KnownIntent) {
				l.Effects = append(l.Effects, idemtest.Effect{ID: "eff_2", Key: "stranger", Generation: 1})
			}},
		"an effect without a key": {rule: idemtest.RuleKnownEffect, want: "an effect that no intent knows",
			spoil: func(l *idemtest.Ledger, _ *idemtest.KnownIntent) {
				l.Effects = append(l.Effects, idemtest.Effect{ID: "eff_2", Generation: 1})
			}},
		"succeeded without an effect": {rule: idemtest.RuleSucceeded, want: "succeeded with 0 effects",
			spoil: func(l *idemtest.Ledger, _ *idemtest.KnownIntent) { l.Effects = nil }},
		"succeeded twice": {rule: idemtest.RuleSucceeded, want: "succeeded with 2 effects",
			spoil: func(l *idemtest.Ledger, _ *idemtest.KnownIntent) {
				l.KeysIgnored = true
				l.Effects = append(l.Effects, idemtest.Effect{ID: "eff_2", Key: "k", Generation: 1})
			}},
		"another outcome": {rule: idemtest.RuleOutcome, want: "is not what the server stored",
			spoil: func(_ *idemtest.Ledger, k *idemtest.KnownIntent) { k.Outcome = []byte(`{"id":"ch_1"} `) }},
		"an outcome that is empty": {rule: idemtest.RuleOutcome, want: "the outcome (0 bytes",
			spoil: func(_ *idemtest.Ledger, k *idemtest.KnownIntent) { k.Outcome = []byte{} }},
		"the outcome is a stored 500": {rule: idemtest.RuleOutcome, want: "is not what the server stored",
			spoil: func(l *idemtest.Ledger, k *idemtest.KnownIntent) {
				l.Keys[0].Status, l.Keys[0].Body, k.Outcome = 500, []byte("broken"), []byte("broken")
			}},
		"a 500 was stored, a search found it": {
			spoil: func(l *idemtest.Ledger, _ *idemtest.KnownIntent) {
				l.Keys[0].Status, l.Keys[0].Body = 500, []byte("broken")
			}},
		"failed, yet it happened": {rule: idemtest.RuleFailed, want: "failed, yet it happened",
			spoil: func(_ *idemtest.Ledger, k *idemtest.KnownIntent) { k.State = "failed" }},
		"another payload than the journal's": {rule: idemtest.RulePayload, want: "arrival 1 carried the body",
			spoil: func(l *idemtest.Ledger, k *idemtest.KnownIntent) { l.Arrivals, k.Body = l.Arrivals[:1], sha("q") }},
		"never sent, yet it arrived": {rule: idemtest.RuleSent, want: "and was never sent",
			spoil: func(_ *idemtest.Ledger, k *idemtest.KnownIntent) { k.Attempts, k.FirstSent = 0, time.Time{} }},
		"pending and perhaps sent": {
			spoil: func(_ *idemtest.Ledger, k *idemtest.KnownIntent) {
				k.State, k.Attempts, k.FirstSent, k.Outcome = "pending", 0, time.Time{}, nil
			}},
		"a state that is none": {rule: idemtest.RuleOneIntent, want: `"done" is no state`,
			spoil: func(_ *idemtest.Ledger, k *idemtest.KnownIntent) { k.State = "done" }},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, k := honest()
			row.spoil(&l, &k)
			got := append(l.Check(), l.CheckAgainst([]idemtest.KnownIntent{k})...)
			if row.rule == "" {
				require.Empty(t, got)
				return
			}
			require.NotEmpty(t, got)
			for _, v := range got {
				if v.Rule == row.rule {
					require.Contains(t, v.String(), row.want)
					return
				}
			}
			require.Fail(t, "the rule did not fire", "%s in %v", row.rule, got)
		})
	}
}

// Two intents with one key are found.
func TestTwoIntentsWithOneKey(t *testing.T) {
	t.Parallel()
	l, k := honest()
	got := l.CheckAgainst([]idemtest.KnownIntent{k, k})
	require.Len(t, got, 1)
	require.Equal(t, "one-intent: key k: two intents own it", got[0].String())
}

// The rules work on what a running server wrote, not only on ledgers made by
// hand: a client that retries without keys is found out.
func TestCheckersOnARealLedger(t *testing.T) {
	t.Parallel()
	s := idemtest.Start(t)
	a := newAgent(t, s)
	script(t, s, idemtest.Fault{Kind: idemtest.DropAfter})
	require.Error(t, a.create("key-1").err)
	got := a.create("key-1")
	known := idemtest.KnownIntent{Key: "key-1", State: "succeeded", Outcome: []byte(got.body), Body: sha(invoice), Attempts: 2, FirstSent: time.Now()}
	require.Empty(t, s.Check())
	require.Empty(t, s.CheckAgainst([]idemtest.KnownIntent{known}))

	script(t, s, idemtest.Fault{Kind: idemtest.DropAfter})
	require.Error(t, a.create("key-2").err)
	require.Equal(t, 200, a.create("key-3").status) // a new key at each attempt
	found := s.CheckAgainst([]idemtest.KnownIntent{known, {Key: "key-3", State: "succeeded", Attempts: 2}})
	require.Len(t, found, 1)
	require.Equal(t, idemtest.RuleKnownEffect, found[0].Rule)
	require.Equal(t, "key-2", found[0].Key)

	// And one that changes its payload.
	require.Equal(t, 400, a.send("POST", "/v1/invoices", "key-3", invoice+"&description=again").status)
	require.Equal(t, idemtest.RuleOnePayload, s.Check()[0].Rule)
}
