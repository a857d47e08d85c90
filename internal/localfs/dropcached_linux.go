package localfs

import (
	"os"

	"golang.org/x/sys/unix"
)

// dropCached drops a file's clean pages from the system's memory.
func dropCached(f *os.File) error {
	return os.NewSyscallError("fadvise64", unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
}
