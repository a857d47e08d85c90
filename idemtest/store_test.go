package idemtest_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/idem-go/idem/idemtest"
	"github.com/stretchr/testify/require"
)

// A server killed with SIGKILL after the effect and before the reply knows
// keys, effects, arrivals and resources when it is started again.
func TestStoreSurvivesSIGKILL(t *testing.T) {
	t.Parallel()
	store := filepath.Join(t.TempDir(), "ledger")
	p := startProcess(t, store)
	remote := idemtest.Dial(p.url)
	a := p.agent()
	first := a.create("key-1")
	require.Equal(t, 200, first.status)
	require.NoError(t, remote.Script(ctx(t), idemtest.Fault{Kind: idemtest.HoldReply}))
	lost := a.async("key-2")
	require.NoError(t, remote.Wait(ctx(t), 2, 2))
	before, err := remote.Ledger(ctx(t))
	require.NoError(t, err)
	p.kill()
	require.Error(t, (<-lost).err)

	p = startProcess(t, store)
	remote, a = idemtest.Dial(p.url), p.agent()
	after, err := remote.Ledger(ctx(t))
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, "open", after.Arrivals[1].Answer())
	require.Equal(t, after.Effects[1].ID, after.Arrivals[1].EffectID)
	replay := a.create("key-1")
	require.Equal(t, first.body, replay.body)
	require.Equal(t, first.header.Get("Request-Id"), replay.header.Get("Request-Id"))
	require.Equal(t, "true", a.create("key-2").header.Get("Idempotent-Replayed"))
	require.Equal(t, 200, a.create("key-3").status)
	after, err = remote.Ledger(ctx(t))
	require.NoError(t, err)
	require.Len(t, after.Effects, 3)
	require.Len(t, after.Arrivals, 5)
	require.Len(t, after.Objects, 3, "no id is given twice")
	require.Empty(t, after.Check())
	require.Zero(t, p.stop())
}

// cuts are the places around each line's ends, and every nineteenth between.
func cuts(text []byte) []int {
	var out []int
	for i := range len(text) + 1 {
		near := text[max(i-3, 0):min(i+3, len(text))]
		if i%19 == 0 || bytes.ContainsRune(near, '\n') {
			out = append(out, i)
		}
	}
	return out
}

// The file may end anywhere: whatever whole lines it holds are the ledger, and
// key, effect and stored reply of one execution are there together or not at
// all.
func TestStoreTorn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := filepath.Join(dir, "ledger")
	s := idemtest.Start(t, idemtest.WithStore(store))
	a := newAgent(t, s)
	require.Equal(t, 200, a.create("key-1").status)
	require.Equal(t, 200, a.create("key-2").status)
	require.NoError(t, s.Close())
	whole, err := os.ReadFile(store)
	require.NoError(t, err)

	torn := filepath.Join(dir, "torn")
	counts := make(map[int]bool)
	for _, cut := range cuts(whole) {
		require.NoError(t, os.WriteFile(torn, whole[:cut], 0o600))
		s, err := idemtest.NewServer(idemtest.WithStore(torn))
		require.NoError(t, err, "cut at %d", cut)
		l := s.Ledger()
		counts[len(l.Effects)] = true
		require.Len(t, l.Keys, len(l.Effects))
		require.Len(t, l.Objects, len(l.Effects))
		for i, e := range l.Effects {
			require.Equal(t, e.ID, l.Keys[i].EffectID)
			require.Equal(t, e.ID, l.Arrivals[e.Arrival-1].EffectID)
		}
		require.NoError(t, s.Close())
	}
	require.Equal(t, map[int]bool{0: true, 1: true, 2: true}, counts)

	// It goes on behind the last whole line.
	require.NoError(t, os.WriteFile(torn, whole[:len(whole)-7], 0o600))
	s = idemtest.Start(t, idemtest.WithStore(torn))
	require.Equal(t, 200, newAgent(t, s).create("key-3").status)
	require.NoError(t, s.Close())
	s = idemtest.Start(t, idemtest.WithStore(torn))
	require.Len(t, s.EffectsOf("key-3"), 1)
}

// What is damaged in the middle, or is no store at all, is refused and left as
// it is.
func TestStoreRefusesWhatItDidNotWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := filepath.Join(dir, "ledger")
	s := idemtest.Start(t, idemtest.WithStore(store))
	a := newAgent(t, s)
	a.create("key-1")
	require.NoError(t, s.Close())
	good, err := os.ReadFile(store)
	require.NoError(t, err)
	lines := bytes.SplitAfter(good, []byte("\n"))

	for name, text := range map[string][]byte{
		"line 2 is damaged":            bytes.Replace(good, lines[1], []byte("{\n"), 1),
		"arrival 1 comes after 0":      nil,
		"not a ledger of this package": []byte("my precious notes"),
		"give another path":            []byte("{}\n"),
	} {
		if text == nil { // a line is missing: the arrivals do not follow on
			text = bytes.Replace(good, []byte(`"seq":1,`), []byte(`"seq":3,`), 1)
			name = "arrival 3 comes after 0"
		}
		path := filepath.Join(dir, "bad")
		require.NoError(t, os.WriteFile(path, text, 0o600))
		_, err := idemtest.NewServer(idemtest.WithStore(path))
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, path)
		left, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, left)
	}
}

// The file is its owner's alone, holds no secret, and keeps what Advance and
// ExpireKey did.
func TestStoreKeepsClockAndMode(t *testing.T) {
	t.Parallel()
	store := filepath.Join(t.TempDir(), "ledger")
	s := idemtest.Start(t, idemtest.WithStore(store))
	a := newAgent(t, s)
	require.Equal(t, 200, a.create("key-1").status)
	require.Equal(t, 200, a.create("key-2").status)
	require.Equal(t, 200, a.send("POST", "/v1/invoices/in_1", "key-3", "description=x").status)
	require.Equal(t, 200, a.send("DELETE", "/v1/invoices/in_2", "key-4", "").status)
	require.True(t, s.ExpireKey("key-1"))
	s.Advance(23 * time.Hour)
	before := s.Ledger()
	require.NoError(t, s.Close())
	info, err := os.Stat(store)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	text, err := os.ReadFile(store)
	require.NoError(t, err)
	require.NotContains(t, string(text), "sk_test")

	s = idemtest.Start(t, idemtest.WithStore(store))
	after := s.Ledger()
	beforeText, err := json.Marshal(before)
	require.NoError(t, err)
	afterText, err := json.Marshal(after)
	require.NoError(t, err)
	require.JSONEq(t, string(beforeText), string(afterText))
	require.True(t, s.Keys()[0].Expired)
	require.False(t, s.Keys()[1].Expired)
	s.Advance(2 * time.Hour)
	require.True(t, s.Keys()[1].Expired)
	require.WithinDuration(t, time.Now().Add(25*time.Hour), s.Now(), time.Minute)
}

// Many requests share the store: everything that was answered is in the file.
func TestStoreManyAtOnce(t *testing.T) {
	t.Parallel()
	store := filepath.Join(t.TempDir(), "ledger")
	s := idemtest.Start(t, idemtest.WithStore(store))
	a := newAgent(t, s)
	replies := make(chan answer, 200)
	for range 200 {
		go func() { replies <- a.create("") }()
	}
	for range 200 {
		require.Equal(t, 200, (<-replies).status)
	}
	require.NoError(t, s.Close())
	s = idemtest.Start(t, idemtest.WithStore(store))
	require.Len(t, s.Effects(), 200)
	for _, arrival := range s.Arrivals() {
		require.Equal(t, "200", arrival.Answer())
	}
}
