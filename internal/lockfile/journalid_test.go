package lockfile_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The lock file holds the journal's ID, so that no journal is used with the lock file
// of another one: their owners would not see each other.

const (
	journalID = "00112233445566778899aabbccddeeff"
	otherID   = "ffeeddccbbaa99887766554433221100"
)

func noneOpen() (bool, error) { return false, nil }
func someOpen() (bool, error) { return true, nil }

func TestTie_EmptyFile_WritesTheID(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	f := open(t, path)
	require.NoError(t, f.MayAdopt())
	require.NoError(t, f.Tie(journalID, noneOpen))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, journalID, string(text))

	require.NoError(t, open(t, path).Tie(journalID, someOpen), "the ID is there, so open intents do not matter")
	require.ErrorContains(t, f.MayAdopt(), "the journal is missing, but its lock file "+path+" is there")
}

func TestTie_IDOfAnotherJournal_Fails(t *testing.T) {
	t.Parallel()
	f := open(t, newPath(t))
	require.NoError(t, f.Tie(journalID, noneOpen))
	require.ErrorContains(t, f.Tie(otherID, noneOpen), "belongs to another journal")
	require.NoError(t, f.Tie(journalID, noneOpen))
}

// TestTie_NoID_DependsOnOpenIntents: their owners may hold slots of a lock file that
// is gone.
func TestTie_NoID_DependsOnOpenIntents(t *testing.T) {
	t.Parallel()
	unreadable := errors.New("the journal cannot be read")
	for name, text := range map[string]string{
		"empty": "", "half": journalID[:20], "zeros": strings.Repeat("\x00", 64), "half and zeros": journalID[:20] + strings.Repeat("\x00", 44),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			f := open(t, path)
			require.ErrorContains(t, f.Tie(journalID, someOpen), "gone or damaged")
			require.ErrorIs(t, f.Tie(journalID, func() (bool, error) { return false, unreadable }), unreadable)
			require.NoError(t, f.Tie(journalID, noneOpen))
			require.NoError(t, f.Tie(journalID, someOpen))
		})
	}
}

// TestTie_DataBehindTheID_StaysApart: the store writes its own data behind the ID.
func TestTie_DataBehindTheID_StaysApart(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	f := open(t, path)
	_, err := f.WriteAt([]byte("data"), 8192)
	require.NoError(t, err)
	require.NoError(t, f.Tie(journalID, noneOpen))
	require.NoError(t, f.Tie(journalID, someOpen))
	got := make([]byte, 4)
	_, err = open(t, path).ReadAt(got, 8192)
	require.NoError(t, err)
	require.Equal(t, "data", string(got))
}
