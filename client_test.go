package idem_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// Bad input, where the journal should be: a path that cannot be one is refused
// with an error that says which path, what is wrong and what to do. Nothing there
// is changed, so nothing is lost.

// files is everything in a folder by name, but for the two files that SQLite keeps
// beside a database while anybody reads it.
func files(t testing.TB, folder string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	found := map[string]string{}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "-wal") || strings.HasSuffix(e.Name(), "-shm") {
			continue
		}
		if e.IsDir() {
			found[e.Name()] = "a folder"
			continue
		}
		content, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if !os.IsNotExist(err) { // a link to nothing
			require.NoError(t, err)
		}
		found[e.Name()] = string(content)
	}
	return found
}

// refuseOpen opens a path that must be refused, in words, without a change in the
// folder.
func refuseOpen(t testing.TB, folder, path string, says ...string) {
	t.Helper()
	before := files(t, folder)
	_, err := idem.Open(path)
	require.ErrorContains(t, err, "idem: opening the journal "+path+": ")
	for _, word := range says {
		require.ErrorContains(t, err, word)
	}
	require.NotContains(t, err.Error(), "\n")
	require.Equal(t, before, files(t, folder), "nothing is changed")
}

func TestPathThatIsNoJournal(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		make func(t *testing.T, folder string) (path string)
		says []string
	}{
		"a text": {func(t *testing.T, folder string) string {
			path := filepath.Join(folder, "notes.txt")
			require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("not a database\n", 100)), 0o600))
			return path
		}, []string{"not a SQLite database", "name another file"}},
		"a short text": {func(t *testing.T, folder string) string {
			path := filepath.Join(folder, "notes.txt")
			require.NoError(t, os.WriteFile(path, []byte("x\n"), 0o600))
			return path
		}, []string{"not a SQLite database", "name another file"}},
		"another program's tables": {func(t *testing.T, folder string) string {
			path := filepath.Join(folder, "other.db")
			testkit.SQLiteFile(t, path, "CREATE TABLE theirs (x)", "INSERT INTO theirs VALUES (1)")
			return path
		}, []string{"another program", "name another file"}},
		"another program's id": {func(t *testing.T, folder string) string {
			path := filepath.Join(folder, "other.db")
			testkit.SQLiteFile(t, path, "PRAGMA application_id = 252006673", "CREATE TABLE theirs (x)")
			return path
		}, []string{"another program", "name another file", "0xf055111"}},
		"another program's version": {func(t *testing.T, folder string) string {
			path := filepath.Join(folder, "other.db")
			testkit.SQLiteFile(t, path, "PRAGMA user_version = 7")
			return path
		}, []string{"another program", "name another file"}},
		"a newer version": {func(t *testing.T, folder string) string {
			path := filepath.Join(folder, "agent.db")
			c, err := idem.Open(path)
			require.NoError(t, err)
			require.NoError(t, c.Close())
			testkit.SQLiteFile(t, path, "PRAGMA user_version = 99")
			return path
		}, []string{"newer version", "format 99", "use that version", "nothing was changed"}},
		"a folder": {func(t *testing.T, folder string) string {
			path := filepath.Join(folder, "agent.db")
			require.NoError(t, os.Mkdir(path, 0o700))
			return path
		}, []string{"is a folder", "name a file in it"}},
		"a missing folder": {func(t *testing.T, folder string) string {
			return filepath.Join(folder, "missing", "agent.db")
		}, []string{"missing does not exist", "make it first"}},
		"a file for a folder": {func(t *testing.T, folder string) string {
			require.NoError(t, os.WriteFile(filepath.Join(folder, "file"), nil, 0o600))
			return filepath.Join(folder, "file", "agent.db")
		}, []string{"file is not a folder"}},
		"a link to nothing": {func(t *testing.T, folder string) string {
			path := filepath.Join(folder, "agent.db")
			require.NoError(t, os.Symlink(filepath.Join(folder, "elsewhere.db"), path))
			return path
		}, []string{"symbolic link", "elsewhere.db", "name the file itself"}},
		"a file with two names": {func(t *testing.T, folder string) string {
			path := filepath.Join(folder, "agent.db")
			c, err := idem.Open(path)
			require.NoError(t, err)
			require.NoError(t, c.Close())
			require.NoError(t, os.Link(path, filepath.Join(folder, "twin.db")))
			return path
		}, []string{"hard link", "remove"}},
		"a read-only file": {func(t *testing.T, folder string) string {
			path := filepath.Join(folder, "agent.db")
			c, err := idem.Open(path)
			require.NoError(t, err)
			require.NoError(t, c.Close())
			require.NoError(t, os.Chmod(path, 0o444))
			return path
		}, []string{"read-only", "-r--r--r--", "chmod"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			refuseOpen(t, folder, x.make(t, folder), x.says...)
		})
	}
}

func TestReadOnlyFolder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, os.Chmod(folder, 0o555))
	t.Cleanup(func() { require.NoError(t, os.Chmod(folder, 0o700)) })
	refuseOpen(t, folder, filepath.Join(folder, "agent.db"), "read-only", "-r-xr-xr-x", "made there", "chmod")
}

func TestNoPathAndNoJournal(t *testing.T) {
	t.Parallel()
	_, err := idem.Open("")
	require.ErrorContains(t, err, "idem: Open needs the path")
	_, err = idem.New(nil)
	require.ErrorContains(t, err, "idem: New needs a Journal")
}

// A journal is open once in a process, under whatever name: two clients in one
// would take each other for other processes. The first one goes on.
func TestJournalThatIsOpenHere(t *testing.T) {
	t.Parallel()
	s := clientkit.NewServer(t)
	folder := t.TempDir()
	path := filepath.Join(folder, "agent.db")
	c := clientkit.NewClient(t, path, idem.WithPolicy("*", clientkit.Stripe()))
	in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "1"}, testkit.NewInvoice(t, s.URL(), 500))
	require.NoError(t, err)

	symlink, hardLink := filepath.Join(folder, "symlink.db"), filepath.Join(folder, "hardlink.db")
	require.NoError(t, os.Symlink(path, symlink))
	linked := filepath.Join(t.TempDir(), "folder")
	require.NoError(t, os.Symlink(folder, linked))
	here, err := os.Getwd()
	require.NoError(t, err)
	relative, err := filepath.Rel(here, path)
	require.NoError(t, err)
	require.NoError(t, os.Link(path, hardLink))
	for _, name := range []string{path, symlink, hardLink, filepath.Join(linked, "agent.db"), relative, folder + "/./x/../agent.db"} {
		_, err := idem.Open(name)
		require.ErrorContains(t, err, "opening the journal "+name)
		require.ErrorContains(t, err, "open in this process already")
		require.ErrorContains(t, err, "use that client")
	}
	require.NoFileExists(t, hardLink+".owners")
	require.NoError(t, os.Remove(hardLink))

	_, err = in.Do(testkit.Context(t))
	require.NoError(t, err)
	require.Len(t, s.Effects(), 1)
	require.NoError(t, c.Close())
	again, err := idem.Open(symlink)
	require.NoError(t, err, "closed, it can be opened again, by a link too")
	require.FileExists(t, path+".owners")
	require.NoFileExists(t, symlink+".owners")
	require.NoError(t, again.Close())
}

// Of many who open one journal at once, one gets it, whether it is there or not;
// the others are told.
func TestJournalOpenedByManyAtOnce(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	for round := range 12 { // the first makes it
		var mu sync.Mutex
		var open []*idem.Client
		var wg sync.WaitGroup
		start := make(chan struct{})
		for range 8 {
			wg.Go(func() {
				<-start
				c, err := idem.Open(path)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					if !strings.Contains(err.Error(), "open in this process already") {
						t.Errorf("round %d: %v", round, err)
					}
					return
				}
				open = append(open, c)
			})
		}
		close(start)
		wg.Wait()
		require.Len(t, open, 1, "round %d: one wins", round)
		require.NoError(t, open[0].Close())
	}
	clientkit.CheckJournal(t, path)
}

// A panic of the program's own code, run on behalf of a caller, reaches that
// caller, and the intent is not called failed: another call finishes it under the
// same key.
func TestPanicOfTheProgramsOwnCode(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	panics := true
	authorize := clientkit.Stripe().Authorize
	c := w.Open(idem.WithPolicy("charge", idem.Policy{Contract: idem.Stripe(), Retry: clientkit.Quick(), Authorize: func(r *http.Request) error {
		if panics {
			panic("no credentials at hand")
		}
		return authorize(r)
	}}))
	op := idem.Operation{Name: "charge", ID: "order-1"}
	require.PanicsWithValue(t, "no credentials at hand", func() { c.Do(w.Invoice(500), op) })
	panics = false
	_, err := c.Do(w.Invoice(500), op)
	require.NoError(t, err)
	require.Len(t, w.Server.Effects(), 1)
}
