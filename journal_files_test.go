//go:build unix

package idem_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
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
	w := newWorld(t)
	c := w.open(idem.WithPolicy("*", stripe()))
	for pragma, want := range map[string][2]int64{
		"synchronous":  {2, 2},     // FULL
		"busy_timeout": {0, 10000}, // a writer waits by itself, so that a ctx can end it
		"query_only":   {0, 1},
	} {
		writer, reader, err := idem.PragmaOf(c, pragma)
		require.NoError(t, err)
		require.Equal(t, want, [2]int64{writer, reader}, pragma)
	}
	p := startChild(t, "Pragmas", w.path)
	p.expect("wal 1768187245 4 4096 ok") // "idem" in ASCII, the format's version, the page size
	p.wait()
}

// Pragmas says how a journal's file describes itself to another program.
func (children) Pragmas(l *link) error {
	var path string
	if err := l.args(&path); err != nil {
		return err
	}
	db, err := openRaw(path)
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
	l.say("%s", strings.Join(said, " "))
	return db.Close()
}

// LooseUmask opens a journal in a process that gives everybody everything, and says
// the modes of its files while it is open.
func (children) LooseUmask(l *link) error {
	var path string
	if err := l.args(&path); err != nil {
		return err
	}
	syscall.Umask(0)
	c, err := idem.Open(path, idem.WithPolicy("*", stripe()))
	if err != nil {
		return err
	}
	req, err := invoiceRequest("http://api.invalid", 500)
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
	l.say("%s", strings.Join(modes, " "))
	return c.Close()
}

// Nobody else may read a journal, whatever the umask, and whatever its files were
// like before.
func TestModes(t *testing.T) {
	t.Parallel()
	path := newPath(t)
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
			path = newPath(t)
			require.NoError(t, os.WriteFile(path, nil, 0o644))
		}
		p := startChild(t, "LooseUmask", path)
		p.expect("-rw------- -rw------- -rw------- -rw-------")
		p.wait()
	}
	checkJournal(t, path)
}

// opened makes a journal with an intent that is settled and one that is open, and
// returns their keys.
func opened(t testing.TB, w *world) (settled, open string) {
	t.Helper()
	c := w.open(idem.WithPolicy("*", stripe()))
	in, err := c.Begin(testCtx(t), idem.Operation{Name: "charge", ID: "settled"}, w.invoice(500))
	require.NoError(t, err)
	_, err = in.Do(testCtx(t))
	require.NoError(t, err)
	still, err := c.Begin(testCtx(t), idem.Operation{Name: "charge", ID: "open"}, w.invoice(500))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	return in.Key(), still.Key()
}

// Without its lock file a journal with open intents is refused: whoever has them
// could not be told from a dead one. What the error says to do works.
func TestLockFileThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	opened(t, w)
	require.NoError(t, os.Remove(w.path+".owners"))
	_, err := idem.Open(w.path)
	require.ErrorContains(t, err, w.path)
	require.ErrorContains(t, err, "lock file")
	require.ErrorContains(t, err, "intents are open")
	_, quoted, found := strings.Cut(err.Error(), `then write "`)
	require.True(t, found, "%v", err)
	id, _, _ := strings.Cut(quoted, `"`)

	_, err = idem.Open(w.path)
	require.ErrorContains(t, err, "lock file", "asking again changes nothing")
	require.NoError(t, os.WriteFile(w.path+".owners", []byte(id), 0o600))
	c := w.open(idem.WithPolicy("*", stripe()))
	report, err := c.Recover(testCtx(t))
	require.NoError(t, err)
	require.Equal(t, idem.Report{Succeeded: 1}, report)
}

// A lock file without its journal is refused: the journal was lost, and a new one
// would do everything again. What the error says to do works.
func TestJournalThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	settled, _ := opened(t, w)
	away := filepath.Join(t.TempDir(), "away.db")
	require.NoError(t, os.Rename(w.path, away))
	for range 2 { // asking again changes nothing
		_, err := idem.Open(w.path)
		require.ErrorContains(t, err, "the journal is missing, but its lock file "+w.path+".owners is there")
		require.ErrorContains(t, err, "put the journal back")
		require.ErrorContains(t, err, "delete the lock file")
	}
	require.NoError(t, os.Rename(away, w.path))
	c := w.open(idem.WithPolicy("*", stripe()))
	in, err := c.Lookup(testCtx(t), settled)
	require.NoError(t, err)
	require.Equal(t, idem.Succeeded, in.State())
	require.NoError(t, c.Close())

	other := newPath(t) // dropped on purpose
	c = newClient(t, other)
	require.NoError(t, c.Close())
	require.NoError(t, os.Remove(other))
	_, err = idem.Open(other)
	require.ErrorContains(t, err, "delete the lock file")
	require.NoError(t, os.Remove(other+".owners"))
	newClient(t, other)
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
	w := newWorld(t)
	opened(t, w)
	alone := newPath(t)
	copyFile(t, w.path, alone)
	_, err := idem.Open(alone)
	require.ErrorContains(t, err, alone)
	require.ErrorContains(t, err, "intents are open")

	mixed := newPath(t)
	require.NoError(t, newClient(t, mixed).Close())
	require.NoError(t, os.Remove(mixed))
	copyFile(t, w.path, mixed)
	_, err = idem.Open(mixed)
	require.ErrorContains(t, err, "belongs to another journal")
	require.ErrorContains(t, err, "name another path")
	require.NoError(t, os.Remove(mixed), "so that it is not looked at again")

	whole := newPath(t)
	copyFile(t, w.path, whole)
	copyFile(t, w.path+".owners", whole+".owners")
	newClient(t, whole)

	c := w.open(idem.WithPolicy("*", stripe()))
	_, err = c.Recover(testCtx(t))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	done := newPath(t)
	copyFile(t, w.path, done)
	newClient(t, done) // nothing is open in it
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
			w := newWorld(t)
			c := w.open(idem.WithPolicy("*", stripe()))
			_, err := c.Do(w.invoice(500), idem.Operation{Name: "charge", ID: "before"})
			require.NoError(t, err)
			begun, err := c.Begin(testCtx(t), idem.Operation{Name: "charge", ID: "begun"}, w.invoice(500))
			require.NoError(t, err)

			away := w.path + ".away"
			require.NoError(t, take(w.path, away))
			if name == "unlinked" {
				require.NoError(t, os.Remove(w.path))
			}
			missing := w.path
			if strings.HasPrefix(name, "lock") {
				missing += ".owners"
			}
			for range 2 {
				_, err = c.Do(w.invoice(500), idem.Operation{Name: "charge", ID: "after"})
				for _, word := range []string{"charge after", missing, "nothing was sent", "open it again"} {
					require.ErrorContains(t, err, word)
				}
				require.NotErrorIs(t, err, idem.ErrMaybeRecorded)
			}
			require.Len(t, w.server.Arrivals(), 1, "nothing was sent")

			// What was begun before is durable there; its outcome has no place to go.
			resp, err := begun.Do(testCtx(t))
			require.ErrorIs(t, err, idem.ErrUnrecorded)
			require.Equal(t, 200, resp.StatusCode)

			require.NoError(t, os.RemoveAll(missing))
			require.NoError(t, os.Rename(away, missing))
			_, err = begun.Do(testCtx(t))
			require.NoError(t, err, "the file is back: the outcome is recorded")
			require.NoError(t, c.Close())
			c = w.open(idem.WithPolicy("*", stripe()))
			_, err = c.Do(w.invoice(500), idem.Operation{Name: "charge", ID: "after"})
			require.NoError(t, err)
			require.Len(t, w.server.Effects(), 3)
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
			w := newWorld(t)
			c := w.open(idem.WithPolicy("*", stripe()))
			_, err := c.Do(w.invoice(501), idem.Operation{Name: "charge", ID: "settled"})
			require.NoError(t, err)
			require.NoError(t, c.Close())
			sound := filepath.Join(t.TempDir(), "sound.db")
			copyFile(t, w.path, sound)
			flip(t, w.path, x.text, x.nth)
			requireDamaged(t, w)
			copyFile(t, sound, w.path)
		})
	}
}

// requireDamaged opens a journal whose one intent is damaged: it is never begun
// anew, never sent, and whoever asks is told.
func requireDamaged(t testing.TB, w *world) {
	t.Helper()
	arrivals := len(w.server.Arrivals())
	c, err := idem.Open(w.path, idem.WithPolicy("*", stripe()))
	require.NoError(t, err)
	told := func(err error) {
		t.Helper()
		require.Error(t, err)
		require.Regexp(t, "the journal's row of .* is damaged", err.Error())
		require.ErrorContains(t, err, "look at the far side")
		require.ErrorContains(t, err, "restore the file")
	}
	for _, err := range c.Intents(testCtx(t), idem.Filter{}) {
		told(err)
	}
	defer func() { require.NoError(t, c.Close()) }()
	_, err = c.Do(w.invoice(501), idem.Operation{Name: "charge", ID: "settled"})
	told(err)
	require.Len(t, w.server.Arrivals(), arrivals, "nothing was sent")
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
				w := newWorld(t)
				c := w.open(idem.WithPolicy("*", promisesNothing()))
				_, err := c.Do(w.invoice(501), idem.Operation{Name: "charge", ID: "settled"})
				require.NoError(t, err)
				require.NoError(t, c.Close())
				sound := filepath.Join(t.TempDir(), "sound.db")
				copyFile(t, w.path, sound)
				db, err := openRaw(w.path)
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

				c, err = idem.Open(w.path, idem.WithPolicy("*", promisesNothing()))
				require.NoError(t, err)
				for _, found := range c.Intents(testCtx(t), idem.Filter{}) {
					err = found
				}
				require.NoError(t, c.Close())
				copyFile(t, sound, w.path)
				require.ErrorContains(t, err, "is damaged")
			})
		}
	}
}
