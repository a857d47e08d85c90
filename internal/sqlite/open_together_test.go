//go:build cgo

package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
)

// openAllArgs is a folder, and how many journals to open in it.
type openAllArgs struct {
	Folder   string
	Journals int
}

// OpenAll opens journals that others are making at the same time, and closes them.
func (children) OpenAll(l *testkit.Link) error {
	var args openAllArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	for i := range args.Journals {
		j, err := idem.OpenJournal(filepath.Join(args.Folder, fmt.Sprint(i)))
		if err != nil {
			return err
		}
		if err := j.Close(); err != nil {
			return err
		}
	}
	return nil
}

// TestProcessesMakeOneJournalTogether: whoever looks at a journal that another
// process is making sees no file, or the journal, and never what lies between.
func TestProcessesMakeOneJournalTogether(t *testing.T) {
	t.Parallel()
	args := openAllArgs{Folder: t.TempDir(), Journals: 200}
	var all []*testkit.Process
	for range 6 {
		all = append(all, testkit.StartChild(t, "OpenAll", args))
	}
	for _, p := range all {
		p.Wait()
	}
	for i := range args.Journals {
		require.Empty(t, testkit.JournalProblems(t, filepath.Join(args.Folder, fmt.Sprint(i))))
	}
}
