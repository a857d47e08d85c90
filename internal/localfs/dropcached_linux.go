//go:build linux && (amd64 || arm64 || loong64 || mips64 || mips64le || ppc64 || ppc64le || riscv64 || s390x)

package localfs

import (
	"os"
	"syscall"
)

const fadviseDontNeed = 4

// dropCached drops a file's clean pages from the system's memory.
func dropCached(f *os.File) error {
	_, _, errno := syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), 0, 0, fadviseDontNeed, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("fadvise64", errno)
	}
	return nil
}
