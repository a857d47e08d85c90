package idem_test

import (
	"os"
	"testing"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// A journal that holds an intent and has lost its outcome is as loud an error as one
// that has lost the intent: what is settled would be sent again.
func TestJournalThatLostAnOutcomeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := func() map[string][]byte {
		t.Helper()
		kept := map[string][]byte{}
		for _, suffix := range []string{"", "-wal"} {
			content, err := os.ReadFile(w.path + suffix)
			require.NoError(t, err)
			kept[suffix] = content
		}
		return kept
	}
	put := func(kept map[string][]byte) {
		t.Helper()
		require.NoError(t, os.RemoveAll(w.path+"-shm"))
		for suffix, content := range kept {
			require.NoError(t, os.WriteFile(w.path+suffix, content, 0o600))
		}
	}
	p := w.agent(agentArgs{ID: "order-1", Cents: 500})
	w.begin(p)
	begun := files()
	p.tell("do")
	require.Contains(t, p.hear(), "200")
	settled := files()
	p.kill()

	put(begun)
	_, err := idem.Open(w.path)
	require.ErrorContains(t, err, "older than what was acknowledged")
	put(settled)
	all := readJournal(t, w.path)
	require.Len(t, all, 1)
	require.Equal(t, idem.Succeeded, all[0].State())
}
