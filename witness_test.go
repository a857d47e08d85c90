package idem_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// A journal that lost what it acknowledged is a loud error, however it lost it:
// SQLite itself takes it for an older journal and reports nothing. What had been
// begun would be sent again under another key.

// Beginner begins an order when it is told its ID, and waits to be killed.
func (children) Beginner(l *link) error {
	var path string
	if err := l.args(&path); err != nil {
		return err
	}
	c, err := idem.Open(path)
	if err != nil {
		return err
	}
	for {
		req, err := invoiceRequest("http://127.0.0.1:1", 500)
		if err != nil {
			return err
		}
		if _, err := c.Begin(context.Background(), idem.Operation{Name: "create_invoice", ID: l.hear()}, req); err != nil {
			return err
		}
		l.say("begun")
	}
}

// killed is a journal whose agent was killed after it had begun two orders; meanwhile
// is called between the two.
func killed(t *testing.T, meanwhile func(path string)) string {
	t.Helper()
	path := newPath(t)
	p := startChild(t, "Beginner", path)
	p.tell("order-1")
	p.expect("begun")
	meanwhile(path)
	p.tell("order-2")
	p.expect("begun")
	p.kill()
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
			require.Len(t, readJournal(t, path), 2)
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
	require.Len(t, readJournal(t, path), 1)
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
	require.Len(t, readJournal(t, path), 2)
}

type settlerArgs struct{ Path, Server string }

// Settler has one order settled, and waits to be killed.
func (children) Settler(l *link) error {
	var args settlerArgs
	if err := l.args(&args); err != nil {
		return err
	}
	c, err := idem.Open(args.Path, idem.WithPolicy("create_invoice", stripe()))
	if err != nil {
		return err
	}
	req, err := invoiceRequest(args.Server, 500)
	if err != nil {
		return err
	}
	resp, err := c.Do(req, idem.Operation{Name: "create_invoice", ID: "order-1"})
	if err != nil {
		return err
	}
	l.say("%d", resp.StatusCode)
	l.hear()
	return nil
}

// The row that a witness tells of may have been pruned since.
func TestWitnessOfPrunedRow(t *testing.T) {
	t.Parallel()
	server, path := newServer(t), newPath(t)
	p := startChild(t, "Settler", settlerArgs{path, server.URL()})
	p.expect("200")
	c := newClient(t, path, idem.WithPolicy("create_invoice", stripe()), idem.WithRetention(time.Nanosecond, time.Nanosecond))
	resp, err := c.Do(newInvoice(t, server.URL(), 700), idem.Operation{Name: "create_invoice", ID: "order-2"})
	require.NoError(t, err)
	require.Equal(t, "200 OK", resp.Status)
	p.kill()
	_, err = c.Prune(testCtx(t))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.Len(t, readJournal(t, path), 1, "order-1 is dropped, its witness is still in the lock file")
}
