package disk_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/idem-go/idem/lab/disk"
	"github.com/stretchr/testify/require"
)

func play(t *testing.T, d *disk.Disk, ops ...disk.Op) {
	t.Helper()
	for _, op := range ops {
		require.NoError(t, d.Do(op))
	}
}

func create(name string) disk.Op { return disk.Op{Kind: disk.Create, Name: name} }
func write(name string, at int64, text string) disk.Op {
	return disk.Op{Kind: disk.Write, Name: name, Offset: at, Data: []byte(text)}
}
func truncate(name string, size int64) disk.Op {
	return disk.Op{Kind: disk.Truncate, Name: name, Size: size}
}
func sync(name string) disk.Op   { return disk.Op{Kind: disk.Sync, Name: name} }
func failed(name string) disk.Op { return disk.Op{Kind: disk.SyncFailed, Name: name} }
func remove(name string) disk.Op { return disk.Op{Kind: disk.Delete, Name: name} }
func folder() disk.Op            { return disk.Op{Kind: disk.Folder} }

// each calls check with many images of every mode that draws lots.
func each(d *disk.Disk, check func(m disk.Mode, image disk.Image)) {
	lots := rand.New(rand.NewPCG(1, 2))
	for m := disk.Drop; m < disk.Modes; m++ {
		for range 200 {
			check(m, d.Image(m, lots))
		}
	}
}

// What is synced, and its name as well, is there whatever the damage.
func TestSyncedIsThere(t *testing.T) {
	t.Parallel()
	d := disk.New(nil)
	play(t, d, create("a"), write("a", 0, "one"), sync("a"), folder())
	require.True(t, d.Decided())
	play(t, d, write("a", 3, "two"), create("b"))
	require.False(t, d.Decided())
	each(d, func(m disk.Mode, image disk.Image) {
		require.True(t, bytes.HasPrefix(image["a"], []byte("one")), "%v: %q", m, image["a"])
	})
	require.Equal(t, disk.Image{"a": []byte("one")}, d.Image(disk.Drop, nil))
	require.Equal(t, disk.Image{"a": []byte("onetwo"), "b": nil}, d.Image(disk.Keep, nil))
}

// A file's sync does not make its name durable, nor the folder's its bytes.
func TestNamesAndBytes(t *testing.T) {
	t.Parallel()
	d := disk.New(nil)
	play(t, d, create("a"), write("a", 0, "one"), sync("a"))
	require.Empty(t, d.Image(disk.Drop, nil))
	d = disk.New(nil)
	play(t, d, create("a"), write("a", 0, "one"), folder())
	require.Equal(t, disk.Image{"a": nil}, d.Image(disk.Drop, nil))
	play(t, d, sync("a"), remove("a"))
	require.Equal(t, disk.Image{"a": []byte("one")}, d.Image(disk.Drop, nil))
	require.Empty(t, d.Image(disk.Keep, nil))
	require.Error(t, d.Do(write("a", 0, "two")))
}

// A prefix has nothing behind what is missing, a subset may.
func TestPrefixAndSubset(t *testing.T) {
	t.Parallel()
	d := disk.New(disk.Image{"a": []byte("....")})
	play(t, d, write("a", 0, "1"), write("a", 1, "2"), write("a", 2, "3"), write("a", 3, "4"))
	seen := map[disk.Mode][]string{}
	each(d, func(m disk.Mode, image disk.Image) {
		if text := string(image["a"]); !slices.Contains(seen[m], text) {
			seen[m] = append(seen[m], text)
		}
	})
	slices.Sort(seen[disk.Prefix])
	require.Equal(t, []string{"1...", "12..", "123.", "1234"}, seen[disk.Prefix])
	require.Contains(t, seen[disk.Subset], "1.3.")
	require.Equal(t, []string{"...."}, seen[disk.Drop])
}

// Sectors of one write arrive each for itself; none of its bytes lands elsewhere.
func TestSectors(t *testing.T) {
	t.Parallel()
	d := disk.New(disk.Image{"a": bytes.Repeat([]byte{'o'}, 3000)})
	play(t, d, write("a", 500, strings.Repeat("n", 1500)))
	torn, zeros, garbage := false, false, false
	each(d, func(m disk.Mode, image disk.Image) {
		b := image["a"]
		require.Len(t, b, 3000)
		require.Equal(t, strings.Repeat("o", 500), string(b[:500]), "before the write")
		require.Equal(t, strings.Repeat("o", 1000), string(b[2000:]), "behind the write")
		switch m {
		case disk.Torn:
			torn = torn || (b[600] == 'o' && b[1100] == 'n')
			require.Empty(t, strings.Trim(string(b), "on"))
		case disk.Garbage:
			garbage = garbage || strings.Trim(string(b), "on") != ""
		}
	})
	play(t, d, write("a", 3000, strings.Repeat("n", 1000)))
	each(d, func(m disk.Mode, image disk.Image) {
		if m == disk.ZeroExtended {
			require.Len(t, image["a"], 4000)
			zeros = zeros || bytes.Contains(image["a"], make([]byte, 400))
		}
	})
	require.True(t, torn && zeros && garbage, "each of them was drawn")
}

// What a failed sync left behind is never made durable by a later one, but what is
// written after it is.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	d := disk.New(disk.Image{"a": []byte("....")})
	play(t, d, write("a", 0, "12"), failed("a"), write("a", 2, "34"), sync("a"))
	require.Equal(t, "..34", string(d.Image(disk.Drop, nil)["a"]))
	require.Equal(t, "1234", string(d.Image(disk.Keep, nil)["a"]), "what programs see")
	play(t, d, write("a", 0, "56"), sync("a"))
	each(d, func(_ disk.Mode, image disk.Image) { require.Equal(t, "5634", string(image["a"])) })
}

// Who reads again what a failed sync left behind knows what the disk holds.
func TestBelieve(t *testing.T) {
	t.Parallel()
	for _, there := range []bool{true, false} {
		d := disk.New(disk.Image{"a": []byte("....")})
		play(t, d, write("a", 0, "12"), failed("a"), write("a", 2, "34"))
		d.Believe(func() bool { return there })
		want := map[bool]string{true: "12..", false: "...."}[there]
		require.Equal(t, want, string(d.Image(disk.Drop, nil)["a"]))
		require.Equal(t, want[:2]+"34", string(d.Image(disk.Keep, nil)["a"]), "what was not synced yet is as before")
	}
}

// A clone goes its own way, and truncations count.
func TestCloneAndTruncate(t *testing.T) {
	t.Parallel()
	d := disk.New(disk.Image{"a": []byte("1234")})
	play(t, d, truncate("a", 1))
	c := d.Clone()
	play(t, c, write("a", 1, "x"), sync("a"))
	require.Equal(t, "1x", string(c.Image(disk.Drop, nil)["a"]))
	require.Equal(t, "1234", string(d.Image(disk.Drop, nil)["a"]))
	require.Equal(t, "1", string(d.Image(disk.Keep, nil)["a"]))
	play(t, d, truncate("a", 3), sync("a"))
	require.Equal(t, "1\x00\x00", string(d.Image(disk.Drop, nil)["a"]))
}
