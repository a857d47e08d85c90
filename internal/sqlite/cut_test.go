//go:build unix && cgo

package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// A journal that is cut, or whose folder is moved away, is never taken for one in
// which nothing was done: nothing that was settled is sent again.

// settledOrders has so many orders settled, in the journal's file itself.
func settledOrders(t testing.TB, w *clientkit.World, n int) {
	t.Helper()
	c, err := idem.Open(w.Path, idem.WithPolicy("*", clientkit.Stripe()))
	require.NoError(t, err)
	for i := range n {
		_, err := c.Do(w.Invoice(500+i), idem.Operation{Name: "charge", ID: fmt.Sprint("order-", i)})
		require.NoError(t, err)
	}
	require.NoError(t, c.Close())
}

// Cut while nobody has it open, at a page's end or in a page's midst.
func TestJournalCut(t *testing.T) {
	t.Parallel()
	const orders = 40
	for _, left := range []int64{1, 511, 512, 4095, 4096, 2 * 4096, 5*4096 + 1, -4096, -1} {
		t.Run(fmt.Sprint(left), func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			settledOrders(t, w, orders)
			sound := filepath.Join(t.TempDir(), "sound.db")
			copyFile(t, w.Path, sound)
			info, err := os.Stat(w.Path)
			require.NoError(t, err)
			size := left
			if left < 0 {
				size += info.Size()
			}
			require.NoError(t, os.Truncate(w.Path, size))
			requireToldOrRight(t, w, orders)
			require.NoError(t, os.RemoveAll(w.Path+"-wal"))
			require.NoError(t, os.RemoveAll(w.Path+"-shm"))
			copyFile(t, sound, w.Path) // the copy is as good as the journal was
			c := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
			_, err = c.Do(w.Invoice(500), idem.Operation{Name: "charge", ID: "order-0"})
			require.NoError(t, err)
		})
	}
}

// requireToldOrRight asks for everything again: each answer is the recorded one, or
// an error, and some error is there.
func requireToldOrRight(t testing.TB, w *clientkit.World, orders int) {
	t.Helper()
	arrivals := len(w.Server.Arrivals())
	c, err := idem.Open(w.Path, idem.WithPolicy("*", clientkit.Stripe()))
	told := err != nil
	if err == nil {
		for i := range orders {
			in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: fmt.Sprint("order-", i)}, w.Invoice(500+i))
			if err != nil {
				told = true
				continue
			}
			require.Equal(t, idem.Succeeded, in.State(), "order %d", i)
		}
		_ = c.Close() // of a file that is no database
	} else {
		require.ErrorContains(t, err, w.Path)
	}
	require.True(t, told, "somebody is told")
	require.Len(t, w.Server.Arrivals(), arrivals, "nothing was sent")
}

// Cut from under a client that has it open: it goes by what it reads, and a part of
// that is gone.
func TestJournalCutWhileOpen(t *testing.T) {
	t.Parallel()
	const orders = 40
	w := clientkit.NewWorld(t)
	settledOrders(t, w, orders)
	sound := filepath.Join(t.TempDir(), "sound.db")
	copyFile(t, w.Path, sound)
	c, err := idem.Open(w.Path, idem.WithPolicy("*", clientkit.Stripe()))
	require.NoError(t, err)
	info, err := os.Stat(w.Path)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(w.Path, info.Size()/2/4096*4096))
	told := false
	for i := range orders {
		in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: fmt.Sprint("order-", i)}, w.Invoice(500+i))
		if err != nil {
			told = true
			continue
		}
		require.Equal(t, idem.Succeeded, in.State(), "order %d", i)
	}
	require.True(t, told, "half of the rows are gone")
	require.Len(t, w.Server.Arrivals(), orders, "nothing was sent again")
	_ = c.Close()
	requireToldOrRight(t, w, orders)
	require.NoError(t, os.RemoveAll(w.Path+"-wal"))
	require.NoError(t, os.RemoveAll(w.Path+"-shm"))
	copyFile(t, sound, w.Path)
}

// The folder is moved away with everything in it, and perhaps another one is put in
// its place: the next Begin says so and sends nothing.
func TestFolderTakenAway(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]bool{"moved": false, "another in its place": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := clientkit.NewWorld(t)
			folder := filepath.Join(filepath.Dir(w.Path), "data")
			require.NoError(t, os.Mkdir(folder, 0o700))
			w.Path = filepath.Join(folder, "agent.db")
			c := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
			begun, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "begun"}, w.Invoice(500))
			require.NoError(t, err)
			away := folder + ".away"
			require.NoError(t, os.Rename(folder, away))
			if again {
				require.NoError(t, os.Mkdir(folder, 0o700))
			}
			_, err = c.Do(w.Invoice(500), idem.Operation{Name: "charge", ID: "after"})
			for _, word := range []string{"charge after", "is gone from under this process", w.Path, "nothing was sent", "open it again"} {
				require.ErrorContains(t, err, word)
			}
			require.Empty(t, w.Server.Arrivals())
			resp, err := begun.Do(context.Background())
			require.ErrorIs(t, err, idem.ErrUnrecorded, "what was begun is on the disk, wherever that is; its outcome has no place to go")
			require.Equal(t, 200, resp.StatusCode)
			if again {
				require.NoError(t, os.Remove(folder), "nothing was made there")
			}
			require.NoError(t, os.Rename(away, folder))
			_, err = begun.Do(testkit.Context(t))
			require.NoError(t, err)
			require.Len(t, w.Server.Effects(), 1)
		})
	}
}
