package localfs

import (
	"os"

	"golang.org/x/sys/unix"
)

// dropCached drops a file's clean pages from the page cache, so that the next read
// returns what is on the disk.
func dropCached(f *os.File) error {
	return os.NewSyscallError("fadvise64", unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
}
