package clientkit

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/journal"

	"github.com/idem-go/idem/internal/testkit"
)

// OpenJournal is a journal without a client, for what only the interface shows.
func OpenJournal(t *testing.T) idem.Journal {
	t.Helper()
	path := testkit.NewPath(t)
	t.Cleanup(func() { CheckJournal(t, path) }) // once it is closed
	return UncheckedJournal(t, path)
}

// UncheckedJournal may hold what no client would write, but a server does.
func UncheckedJournal(t *testing.T, path string) idem.Journal {
	t.Helper()
	j, err := idem.OpenJournal(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	return j
}

func RecordOf(key string, op idem.Operation) *journal.Record {
	return &journal.Record{
		Key: key, Operation: op, FingerprintVersion: 1, Head: []byte("POST http://api.invalid/\n"), Payload: []byte("payload"), CreatedAt: time.Now().UTC(),
		Terms: journal.Terms{Contract: "stripe", Retention: time.Hour, KeyPlace: "header Idempotency-Key"},
	}
}

// Settled begins a record and settles it.
func Settled(t *testing.T, j idem.Journal, r *journal.Record, body string) {
	t.Helper()
	obstacle, _, err := j.Begin(testkit.Context(t), r, journal.Checks{})
	require.NoError(t, err)
	require.Equal(t, journal.NoConflict, obstacle)
	st := journal.Summary{Version: 1, State: idem.Succeeded, Attempts: 1, WindowStart: r.CreatedAt, FirstSent: r.CreatedAt}
	conflict, _, err := j.Change(testkit.Context(t), &journal.Change{
		Key: r.Key, Kind: journal.Settled, Summary: st, At: r.CreatedAt, Reason: "http 200",
		NewAttempts: []journal.Attempt{{Number: 1, At: r.CreatedAt, Status: http.StatusOK, Reason: "http 200"}},
		Reply:       &journal.Reply{Status: http.StatusOK, Proto: "HTTP/1.1", Header: http.Header{"X-A": {"1"}}, Body: []byte(body), Size: int64(len(body))},
	})
	ok := conflict == journal.NoConflict
	require.NoError(t, err)
	require.True(t, ok)
}
