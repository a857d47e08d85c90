//go:build unix && cgo

package sqlite_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// The journal's files: who may read them, what the disk may do to them, and what a
// copy, a move or a deletion means. What is lost in silence elsewhere is a clear
// error here, and nothing is sent on the strength of it.

// journalFiles are the suffixes of a journal's files.
var journalFiles = [...]string{"", "-wal", "-shm", ".owners"}

// Open keeps what is acknowledged: WAL and FULL on every connection, and the file
// says whose it is.
func TestPragmas(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	_, s := openStore(t, w.Path, idem.WithPolicy("*", clientkit.Stripe()))
	for pragma, want := range map[string][2]int64{
		"synchronous":  {2, 2},     // FULL
		"busy_timeout": {0, 10000}, // a writer waits by itself, so that a ctx can end it
		"query_only":   {0, 1},
	} {
		writer, reader, err := s.PragmaOf(pragma)
		require.NoError(t, err)
		require.Equal(t, want, [2]int64{writer, reader}, pragma)
	}
	p := testkit.StartChild(t, "Pragmas", w.Path)
	p.Expect("wal 1768187245 5 4096 ok") // "idem" in ASCII, the format's version, the page size
	p.Wait()
}

// Pragmas says how a journal's file describes itself to another program.
func (children) Pragmas(l *testkit.Link) error {
	var path string
	if err := l.Args(&path); err != nil {
		return err
	}
	db, err := testkit.OpenRaw(path)
	if err != nil {
		return err
	}
	var said []string
	for _, pragma := range []string{"journal_mode", "application_id", "user_version", "page_size", "integrity_check"} {
		var value string
		if err := db.QueryRow("PRAGMA " + pragma).Scan(&value); err != nil {
			return err
		}
		said = append(said, value)
	}
	l.Say("%s", strings.Join(said, " "))
	return db.Close()
}

// LooseUmask opens a journal in a process that gives everybody everything, and says
// the modes of its files while it is open.
func (children) LooseUmask(l *testkit.Link) error {
	var path string
	if err := l.Args(&path); err != nil {
		return err
	}
	syscall.Umask(0)
	c, err := idem.Open(path, idem.WithPolicy("*", clientkit.Stripe()))
	if err != nil {
		return err
	}
	req, err := testkit.InvoiceRequest("http://api.invalid", 500)
	if err != nil {
		return err
	}
	if _, err := c.Begin(req.Context(), idem.Operation{Name: "charge"}, req); err != nil {
		return err
	}
	for in, err := range c.Intents(req.Context(), idem.Filter{}) { // a connection that reads
		if err != nil || in.State() != idem.Pending {
			return fmt.Errorf("%v: %w", in, err)
		}
	}
	var modes []string
	for _, suffix := range journalFiles {
		info, err := os.Stat(path + suffix)
		if err != nil {
			return err
		}
		modes = append(modes, info.Mode().Perm().String())
	}
	l.Say("%s", strings.Join(modes, " "))
	return c.Close()
}

// Nobody else may read a journal, whatever the umask, and whatever its files were
// like before.
func TestModes(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	for _, before := range []string{"made anew", "0644", "0666", "an empty file"} {
		switch before {
		case "0644", "0666":
			var mode os.FileMode = 0o644
			if before == "0666" {
				mode = 0o666
			}
			require.NoError(t, os.Chmod(path, mode))
			require.NoError(t, os.Chmod(path+".owners", mode))
		case "an empty file":
			path = testkit.NewPath(t)
			require.NoError(t, os.WriteFile(path, nil, 0o644))
		}
		p := testkit.StartChild(t, "LooseUmask", path)
		p.Expect("-rw------- -rw------- -rw------- -rw-------")
		p.Wait()
	}
	clientkit.CheckJournal(t, path)
}

// opened makes a journal with an intent that is settled and one that is open, and
// returns their keys.
func opened(t testing.TB, w *clientkit.World) (settled, open string) {
	t.Helper()
	c := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
	in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "settled"}, w.Invoice(500))
	require.NoError(t, err)
	_, err = in.Do(testkit.Context(t))
	require.NoError(t, err)
	still, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "open"}, w.Invoice(500))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	return in.Key(), still.Key()
}

// Without its lock file a journal with open intents is refused: whoever has them
// could not be told from a dead one. What the error says to do works.
func TestLockFileThatIsGone(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	opened(t, w)
	require.NoError(t, os.Remove(w.Path+".owners"))
	_, err := idem.Open(w.Path)
	require.ErrorContains(t, err, w.Path)
	require.ErrorContains(t, err, "lock file")
	require.ErrorContains(t, err, "intents are open")
	_, quoted, found := strings.Cut(err.Error(), `then write "`)
	require.True(t, found, "%v", err)
	id, _, _ := strings.Cut(quoted, `"`)

	_, err = idem.Open(w.Path)
	require.ErrorContains(t, err, "lock file", "asking again changes nothing")
	require.NoError(t, os.WriteFile(w.Path+".owners", []byte(id), 0o600))
	c := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
	report, err := c.Recover(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{Succeeded: 1}, report)
}

// A lock file without its journal is refused: the journal was lost, and a new one
// would do everything again. What the error says to do works.
func TestJournalThatIsGone(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	settled, _ := opened(t, w)
	away := filepath.Join(t.TempDir(), "away.db")
	require.NoError(t, os.Rename(w.Path, away))
	for range 2 { // asking again changes nothing
		_, err := idem.Open(w.Path)
		require.ErrorContains(t, err, "the journal is missing, but its lock file "+w.Path+".owners is there")
		require.ErrorContains(t, err, "put the journal back")
		require.ErrorContains(t, err, "delete the lock file")
	}
	require.NoError(t, os.Rename(away, w.Path))
	c := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
	in, err := c.Lookup(testkit.Context(t), settled)
	require.NoError(t, err)
	require.Equal(t, idem.Succeeded, in.State())
	require.NoError(t, c.Close())

	other := testkit.NewPath(t) // dropped on purpose
	c = clientkit.NewClient(t, other)
	require.NoError(t, c.Close())
	require.NoError(t, os.Remove(other))
	_, err = idem.Open(other)
	require.ErrorContains(t, err, "delete the lock file")
	require.NoError(t, os.Remove(other+".owners"))
	clientkit.NewClient(t, other)
}

// copyFile copies a file that no client has open.
func copyFile(t testing.TB, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, content, 0o600))
}

// A copy without its lock file, or with another's, is refused while it has open
// intents: the first one may be at work on them.
func TestCopyOfAJournal(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	opened(t, w)
	alone := testkit.NewPath(t)
	copyFile(t, w.Path, alone)
	_, err := idem.Open(alone)
	require.ErrorContains(t, err, alone)
	require.ErrorContains(t, err, "intents are open")

	mixed := testkit.NewPath(t)
	require.NoError(t, clientkit.NewClient(t, mixed).Close())
	require.NoError(t, os.Remove(mixed))
	copyFile(t, w.Path, mixed)
	_, err = idem.Open(mixed)
	require.ErrorContains(t, err, "belongs to another journal")
	require.ErrorContains(t, err, "name another path")
	require.NoError(t, os.Remove(mixed), "so that it is not looked at again")

	whole := testkit.NewPath(t)
	copyFile(t, w.Path, whole)
	copyFile(t, w.Path+".owners", whole+".owners")
	clientkit.NewClient(t, whole)

	c := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
	_, err = c.Recover(testkit.Context(t))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	done := testkit.NewPath(t)
	copyFile(t, w.Path, done)
	clientkit.NewClient(t, done) // nothing is open in it
}

// A journal that is taken away from under a client would go on taking rows that
// nobody finds again. The next Begin says so and sends nothing.
func TestJournalTakenAway(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(path, away string) error{
		"unlinked": func(path, away string) error { return os.Link(path, away) }, // and removed below
		"renamed":  os.Rename,
		"replaced": func(path, away string) error {
			if err := os.Rename(path, away); err != nil {
				return err
			}
			return os.WriteFile(path, nil, 0o600)
		},
		"lock file unlinked": func(path, away string) error { return os.Rename(path+".owners", away) },
		"lock file replaced": func(path, away string) error {
			if err := os.Rename(path+".owners", away); err != nil {
				return err
			}
			return os.WriteFile(path+".owners", nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			c := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
			_, err := c.Do(w.Invoice(500), idem.Operation{Name: "charge", ID: "before"})
			require.NoError(t, err)
			begun, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "begun"}, w.Invoice(500))
			require.NoError(t, err)

			away := w.Path + ".away"
			require.NoError(t, take(w.Path, away))
			if name == "unlinked" {
				require.NoError(t, os.Remove(w.Path))
			}
			missing := w.Path
			if strings.HasPrefix(name, "lock") {
				missing += ".owners"
			}
			for range 2 {
				_, err = c.Do(w.Invoice(500), idem.Operation{Name: "charge", ID: "after"})
				for _, word := range []string{"charge after", missing, "nothing was sent", "open it again"} {
					require.ErrorContains(t, err, word)
				}
				require.NotErrorIs(t, err, idem.ErrMaybeRecorded)
			}
			require.Len(t, w.Server.Arrivals(), 1, "nothing was sent")

			// What was begun before is durable there; its outcome has no place to go.
			resp, err := begun.Do(testkit.Context(t))
			require.ErrorIs(t, err, idem.ErrUnrecorded)
			require.Equal(t, 200, resp.StatusCode)

			require.NoError(t, os.RemoveAll(missing))
			require.NoError(t, os.Rename(away, missing))
			_, err = begun.Do(testkit.Context(t))
			require.NoError(t, err, "the file is back: the outcome is recorded")
			require.NoError(t, c.Close())
			c = w.Open(idem.WithPolicy("*", clientkit.Stripe()))
			_, err = c.Do(w.Invoice(500), idem.Operation{Name: "charge", ID: "after"})
			require.NoError(t, err)
			require.Len(t, w.Server.Effects(), 3)
		})
	}
}

// flip turns one bit of the nth place where a text stands in a file.
func flip(t testing.TB, path, text string, nth int) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	at := 0
	for range nth {
		i := bytes.Index(content[at:], []byte(text))
		require.GreaterOrEqual(t, i, 0, "%q stands in the file %d times", text, nth)
		at += i + len(text)
	}
	content[at-1] ^= 1
	require.NoError(t, os.WriteFile(path, content, fs.FileMode(0o600)))
}

// A bit that the disk flips in a row is an error that names the row, not another
// payload, outcome or term.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		text string
		nth  int
	}{
		"payload":              {"amount=501", 1},
		"head":                 {"POST http://127.0.0.1", 1},
		"the reply's body":     {`"object":"invoice"`, 1},
		"the reply's head":     {"HTTP/1.1\n", 1},
		"the terms":            {`"Retention":8640000000000`, 1},
		"the terms, elsewhere": {`"Retention":8640000000000`, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			c := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
			_, err := c.Do(w.Invoice(501), idem.Operation{Name: "charge", ID: "settled"})
			require.NoError(t, err)
			require.NoError(t, c.Close())
			sound := filepath.Join(t.TempDir(), "sound.db")
			copyFile(t, w.Path, sound)
			flip(t, w.Path, x.text, x.nth)
			requireDamaged(t, w)
			copyFile(t, sound, w.Path)
		})
	}
}

// requireDamaged opens a journal whose one intent is damaged: it is never begun
// anew, never sent, and whoever asks is told.
func requireDamaged(t testing.TB, w *clientkit.World) {
	t.Helper()
	arrivals := len(w.Server.Arrivals())
	c, err := idem.Open(w.Path, idem.WithPolicy("*", clientkit.Stripe()))
	require.NoError(t, err)
	told := func(err error) {
		t.Helper()
		require.Error(t, err)
		require.Regexp(t, "the journal's row of .* is damaged", err.Error())
		require.ErrorContains(t, err, "look at the far side")
		require.ErrorContains(t, err, "restore the file")
	}
	for _, err := range c.Intents(testkit.Context(t), idem.Filter{}) {
		told(err)
	}
	defer func() { require.NoError(t, c.Close()) }()
	_, err = c.Do(w.Invoice(501), idem.Operation{Name: "charge", ID: "settled"})
	told(err)
	require.Len(t, w.Server.Arrivals(), arrivals, "nothing was sent")
}

// Every column that a decision is read from is covered.
func TestChangedColumns(t *testing.T) {
	t.Parallel()
	const number, text = " + 1", " || 'x'"
	for table, columns := range map[string]map[string]string{
		"intents": {
			"key": text, "scope": text, "name": text, "previous": text, "head": text, "payload": text, "fingerprint": "zeroblob(32)",
			"kind": number, "repeat": number, "cost": number, "rules": number, "begun": number, "owner": " + 256", "checksum": number,
		},
		"changes": {
			"standing": " || ' '", "reason": text, "note": text, "tries": "x'0a'",
			"version": number, "kind": number, "owner": " + 256", "at": number, "checksum": number,
		},
		"outcomes": {
			"standing": " || ' '", "reason": text, "note": text, "tries": text, "head": text, "body": text,
			"version": number, "kind": number, "state": number, "status": number, "at": number, "checksum": number,
		},
	} {
		for column, change := range columns {
			t.Run(table+" "+column, func(t *testing.T) {
				t.Parallel()
				w := clientkit.NewWorld(t)
				c := w.Open(idem.WithPolicy("*", clientkit.PromisesNothing()))
				_, err := c.Do(w.Invoice(501), idem.Operation{Name: "charge", ID: "settled"})
				require.NoError(t, err)
				require.NoError(t, c.Close())
				sound := filepath.Join(t.TempDir(), "sound.db")
				copyFile(t, w.Path, sound)
				db, err := testkit.OpenRaw(w.Path)
				require.NoError(t, err)
				if change[0] == ' ' {
					change = column + change
				}
				done, err := db.Exec("UPDATE " + table + " SET " + column + " = " + change)
				require.NoError(t, err)
				rows, err := done.RowsAffected()
				require.NoError(t, err)
				require.EqualValues(t, 1, rows)
				require.NoError(t, db.Close())

				c, err = idem.Open(w.Path, idem.WithPolicy("*", clientkit.PromisesNothing()))
				require.NoError(t, err)
				for _, found := range c.Intents(testkit.Context(t), idem.Filter{}) {
					err = found
				}
				require.NoError(t, c.Close())
				copyFile(t, sound, w.Path)
				require.ErrorContains(t, err, "is damaged")
			})
		}
	}
}
