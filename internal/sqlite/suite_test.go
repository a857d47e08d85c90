package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/journal/journaltest"

	"github.com/idem-go/idem/internal/testkit"
)

// journalAway makes this binary the other opener of a journal, which it answers for
// on its standard input and output.
const journalAway = "IDEM_TEST_JOURNAL"

func init() {
	path := os.Getenv(journalAway)
	if path == "" {
		return
	}
	j, err := idem.OpenJournal(path)
	if err == nil {
		err = errors.Join(journaltest.Serve(j, os.Stdin, os.Stdout), j.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// TestSQLiteJournal: the journal on SQLite keeps what any journal must, alone and
// among two processes.
func TestSQLiteJournal(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := func(store string) string { return filepath.Join(folder, store+".db") }
	journaltest.Run(t,
		func(store string) (idem.Journal, error) { return idem.OpenJournal(path(store)) },
		func(store string) (idem.Journal, func() error, error) {
			self, err := os.Executable()
			if err != nil {
				return nil, nil, err
			}
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), journalAway+"="+path(store))
			cmd.Stderr = os.Stderr
			in, err := cmd.StdinPipe()
			if err != nil {
				return nil, nil, err
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				return nil, nil, err
			}
			if err := cmd.Start(); err != nil {
				return nil, nil, err
			}
			kill := func() error {
				if err := cmd.Process.Kill(); err != nil {
					return err
				}
				if err := cmd.Wait(); err == nil {
					return errors.New("it ended by itself")
				}
				return nil
			}
			t.Cleanup(func() {
				require.NoError(t, testkit.IgnoreClosed(in.Close()))
				if cmd.ProcessState == nil {
					require.NoError(t, cmd.Wait())
				}
			})
			return journaltest.Pipe(out, in), kill, nil
		})
}
