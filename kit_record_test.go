package idem_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// openJournal is a journal without a client, for what only the interface shows.
func openJournal(t *testing.T) idem.Journal {
	t.Helper()
	path := newPath(t)
	t.Cleanup(func() { checkJournal(t, path) }) // once it is closed
	return uncheckedJournal(t, path)
}

// uncheckedJournal may hold what no client would write, but a server does.
func uncheckedJournal(t *testing.T, path string) idem.Journal {
	t.Helper()
	j, err := idem.OpenJournal(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	return j
}

func recordOf(key string, op idem.Operation) *idem.Record {
	return &idem.Record{
		Key: key, Operation: op, FingerprintVersion: 1, Head: []byte("POST http://api.invalid/\n"), Payload: []byte("payload"), CreatedAt: time.Now().UTC(),
		Terms: idem.Terms{Contract: "stripe", Retention: time.Hour, KeyPlace: "header Idempotency-Key"},
	}
}

// settled begins a record and settles it.
func settled(t *testing.T, j idem.Journal, r *idem.Record, body string) {
	t.Helper()
	obstacle, _, err := j.Begin(testCtx(t), r, idem.Checks{})
	require.NoError(t, err)
	require.Equal(t, idem.NoConflict, obstacle)
	st := idem.Summary{Version: 1, State: idem.Succeeded, Attempts: 1, WindowStart: r.CreatedAt, FirstSent: r.CreatedAt}
	_, ok, err := j.Change(testCtx(t), &idem.Change{
		Key: r.Key, Kind: idem.Settled, Summary: st, At: r.CreatedAt, Reason: "http 200",
		NewAttempts: []idem.Attempt{{Number: 1, At: r.CreatedAt, Status: http.StatusOK, Reason: "http 200"}},
		Reply:       &idem.Reply{Status: http.StatusOK, Proto: "HTTP/1.1", Header: http.Header{"X-A": {"1"}}, Body: []byte(body), Size: int64(len(body))},
	})
	require.NoError(t, err)
	require.True(t, ok)
}
