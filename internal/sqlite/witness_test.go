//go:build cgo

package sqlite_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// A journal that lost what it acknowledged is a loud error, however it lost it:
// SQLite itself takes it for an older journal and reports nothing. What had been
// begun would be sent again under another key.

// Beginner begins an order when it is told its ID, and waits to be killed.
func (children) Beginner(l *testkit.Link) error {
	var path string
	if err := l.Args(&path); err != nil {
		return err
	}
	c, err := idem.Open(path)
	if err != nil {
		return err
	}
	for {
		req, err := testkit.InvoiceRequest("http://127.0.0.1:1", 500)
		if err != nil {
			return err
		}
		if _, err := c.Begin(context.Background(), idem.Operation{Name: "create_invoice", ID: l.Hear()}, req); err != nil {
			return err
		}
		l.Say("begun")
	}
}

// killed is a journal whose agent was killed after it had begun two orders; meanwhile
// is called between the two.
func killed(t *testing.T, meanwhile func(path string)) string {
	t.Helper()
	path := testkit.NewPath(t)
	p := testkit.StartChild(t, "Beginner", path)
	p.Tell("order-1")
	p.Expect("begun")
	meanwhile(path)
	p.Tell("order-2")
	p.Expect("begun")
	p.Kill()
	return path
}

func TestJournalThatLostRowsIsRefused(t *testing.T) {
	t.Parallel()
	copied := map[string][]byte{}
	for name, harm := range map[string]func(t *testing.T, path string){
		"log deleted": func(t *testing.T, path string) { require.NoError(t, os.Remove(path+"-wal")) },
		"log cut": func(t *testing.T, path string) {
			info, err := os.Stat(path + "-wal")
			require.NoError(t, err)
			require.NoError(t, os.Truncate(path+"-wal", info.Size()-1))
		},
		"log with a flipped bit": func(t *testing.T, path string) {
			content, err := os.ReadFile(path + "-wal")
			require.NoError(t, err)
			content[len(content)-1] ^= 1
			require.NoError(t, os.WriteFile(path+"-wal", content, 0o600))
		},
		"older copy": func(t *testing.T, path string) {
			for suffix, content := range copied {
				require.NoError(t, os.WriteFile(path+suffix, content, 0o600))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := killed(t, func(path string) {
				for _, suffix := range []string{"", "-wal"} {
					var err error
					copied[suffix], err = os.ReadFile(path + suffix)
					require.NoError(t, err)
				}
			})
			before := map[string][]byte{}
			for _, suffix := range []string{"", "-wal", ".owners"} {
				content, err := os.ReadFile(path + suffix)
				require.NoError(t, err)
				before[suffix] = content
			}
			harm(t, path)
			_, err := idem.Open(path)
			require.Error(t, err)
			if name == "log deleted" { // nothing of the journal is left: it was never copied into the file
				require.ErrorContains(t, err, "the journal is missing, but its lock file")
			} else {
				require.ErrorContains(t, err, "older than what was acknowledged")
				require.ErrorContains(t, err, "put the files back")
			}
			// Put back, it goes on as if nothing had happened.
			require.NoError(t, os.RemoveAll(path+"-shm"))
			for suffix, content := range before {
				require.NoError(t, os.WriteFile(path+suffix, content, 0o600))
			}
			require.Len(t, clientkit.ReadJournal(t, path), 2)
		})
	}
}

// Where the older copy is wanted, the error's advice makes it the journal.
func TestOlderCopyOnPurpose(t *testing.T) {
	t.Parallel()
	var older []byte
	path := killed(t, func(path string) {
		var err error
		older, err = os.ReadFile(path + "-wal")
		require.NoError(t, err)
	})
	require.NoError(t, os.WriteFile(path+"-wal", older, 0o600))
	_, err := idem.Open(path)
	require.ErrorContains(t, err, "older than what was acknowledged")
	require.NoError(t, os.Truncate(path+".owners", 32))
	require.Len(t, clientkit.ReadJournal(t, path), 1)
}

// A witness that a power loss damaged says nothing.
func TestDamagedWitness(t *testing.T) {
	t.Parallel()
	path := killed(t, func(string) {})
	content, err := os.ReadFile(path + ".owners")
	require.NoError(t, err)
	for i := 8192; i < len(content); i++ {
		content[i] ^= 0x55
	}
	require.NoError(t, os.WriteFile(path+".owners", content, 0o600))
	require.Len(t, clientkit.ReadJournal(t, path), 2)
}

type settlerArgs struct{ Path, Server string }

// Settler has one order settled, and waits to be killed.
func (children) Settler(l *testkit.Link) error {
	var args settlerArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	c, err := idem.Open(args.Path, idem.WithPolicy("create_invoice", clientkit.Stripe()))
	if err != nil {
		return err
	}
	req, err := testkit.InvoiceRequest(args.Server, 500)
	if err != nil {
		return err
	}
	resp, err := c.Do(req, idem.Operation{Name: "create_invoice", ID: "order-1"})
	if err != nil {
		return err
	}
	l.Say("%d", resp.StatusCode)
	l.Hear()
	return nil
}

// The row that a witness tells of may have been pruned since.
func TestWitnessOfPrunedRow(t *testing.T) {
	t.Parallel()
	server, path := clientkit.NewServer(t), testkit.NewPath(t)
	p := testkit.StartChild(t, "Settler", settlerArgs{path, server.URL()})
	p.Expect("200")
	c := clientkit.NewClient(t, path, idem.WithPolicy("create_invoice", clientkit.PromisesNothing()), idem.WithRetention(time.Nanosecond, time.Nanosecond))
	resp, err := c.Do(testkit.NewInvoice(t, server.URL(), 700), idem.Operation{Name: "create_invoice", ID: "order-2"})
	require.NoError(t, err)
	require.Equal(t, "200 OK", resp.Status)
	p.Kill()
	_, err = c.Prune(testkit.Context(t))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.Len(t, clientkit.ReadJournal(t, path), 1, "order-1 is dropped, its witness is still in the lock file")
}

// A journal that holds an intent and has lost its outcome is as loud an error as one
// that has lost the intent: what is settled would be sent again.
func TestJournalThatLostAnOutcomeIsRefused(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	files := func() map[string][]byte {
		t.Helper()
		kept := map[string][]byte{}
		for _, suffix := range []string{"", "-wal"} {
			content, err := os.ReadFile(w.Path + suffix)
			require.NoError(t, err)
			kept[suffix] = content
		}
		return kept
	}
	put := func(kept map[string][]byte) {
		t.Helper()
		require.NoError(t, os.RemoveAll(w.Path+"-shm"))
		for suffix, content := range kept {
			require.NoError(t, os.WriteFile(w.Path+suffix, content, 0o600))
		}
	}
	p := w.Agent(clientkit.AgentArgs{ID: "order-1", Cents: 500})
	w.Begin(p)
	begun := files()
	p.Tell("do")
	require.Contains(t, p.Hear(), "200")
	settled := files()
	p.Kill()

	put(begun)
	_, err := idem.Open(w.Path)
	require.ErrorContains(t, err, "older than what was acknowledged")
	put(settled)
	all := clientkit.ReadJournal(t, w.Path)
	require.Len(t, all, 1)
	require.Equal(t, idem.Succeeded, all[0].State())
}
