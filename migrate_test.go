package idem_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// copied puts an earlier version's journal and its lock file where a test may
// change them.
func copied(t *testing.T, name string) string {
	t.Helper()
	path := newPath(t)
	for _, suffix := range []string{"", ".owners"} {
		data, err := os.ReadFile(filepath.Join("testdata", name+suffix))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path+suffix, data, 0o600))
	}
	return path
}

// A journal written by an earlier version loses nothing when this one opens it: the
// file in testdata was left by that version's own code, killed in the middle of an
// attempt. What was settled is handed out again, what was open is finished, what
// was in doubt stays so, and what came since (guards, pruning) works on it.
func TestMigrate(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"v1", "v2", "v3"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			migrated(t, version)
		})
	}
}

func migrated(t *testing.T, version string) {
	path := copied(t, "journal-"+version+".db")
	request := func(body string) *http.Request {
		req, err := http.NewRequest(http.MethodPost, "https://api.example.com/v1/charges?expand=x", strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return req
	}
	charge := func(id string) idem.Operation {
		return idem.Operation{Name: "charge", Scope: "run-42", ID: id, Cost: 5}
	}
	c := newClient(t, path,
		idem.WithPolicy("charge", idem.Policy{Contract: idem.Natural(), Limit: idem.Limit{Intents: 100, Per: 1e9}}),
		idem.WithPolicy("mail", idem.Policy{}),
		idem.WithTransport(instant{`{"id":"in_2"}`}))

	charges := 0
	states := map[string]idem.State{}
	keys := map[string]string{}
	for in, err := range c.Intents(testCtx(t), idem.Filter{}) {
		require.NoError(t, err)
		states[in.Operation().ID], keys[in.Operation().ID] = in.State(), in.Key()
		if in.Operation().Name == "charge" {
			charges++
		}
	}
	want := map[string]idem.State{
		"done": idem.Succeeded, "refused": idem.Failed, "doubt": idem.InDoubt, "begun": idem.Pending, "pending": idem.Pending,
	}
	if version == "v3" {
		want[""] = idem.Succeeded // without an ID: only its key leads to it
	}
	require.Equal(t, want, states)
	for id, key := range keys {
		in, err := c.Lookup(testCtx(t), key)
		require.NoError(t, err)
		require.Equal(t, id, in.Operation().ID)
	}
	for in, err := range c.Intents(testCtx(t), idem.Filter{Operation: "charge"}) {
		require.NoError(t, err)
		charges--
		require.Equal(t, in.Key(), keys[in.Operation().ID])
	}
	require.Zero(t, charges)

	resp, err := c.Do(request("amount=500"), charge("done"))
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"in_1"}`, string(body), "the first outcome, not a second one")
	resp, err = c.Do(request("amount=500&refuse=1"), charge("refused"))
	require.NoError(t, err)
	require.Equal(t, http.StatusPaymentRequired, resp.StatusCode)
	_, err = c.Do(request("amount=501"), charge("done"))
	require.ErrorIs(t, err, idem.ErrMismatch)

	report, err := c.Recover(testCtx(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{Succeeded: 2, InDoubt: 1}, report)
	in, err := c.Lookup(testCtx(t), keys["pending"])
	require.NoError(t, err)
	require.Equal(t, idem.Succeeded, in.State())
	require.JSONEq(t, `{"id":"in_2"}`, string(in.Outcome()))

	_, err = c.Do(request("amount=9"), charge("new"))
	require.NoError(t, err)
	_, err = c.Prune(testCtx(t))
	require.NoError(t, err)
}
