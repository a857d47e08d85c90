package localfs

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

// SameFile tells whether a path leads to the file that known describes. It is asked
// before each transaction, so how matters: since Linux 6.13, whoever reads a file's
// times makes the next write to it change them at once, and that dirties a block
// which the log's next fsync then has to write too. statx, asked for the inode alone,
// does not; stat made a pair a third slower.
func SameFile(path string, known os.FileInfo) (bool, error) {
	whole, ok := known.Sys().(*syscall.Stat_t)
	if !ok || statxNumber() == 0 {
		return sameFileByStat(path, known)
	}
	name, err := syscall.BytePtrFromString(path)
	if err != nil {
		return false, err
	}
	const (
		here     = -100  // AT_FDCWD
		onlyINO  = 0x100 // STATX_INO
		inode    = 32    // where the kernel's struct statx, of 256 bytes, has them
		majorDev = 136
		minorDev = 140
	)
	var st [256 / 8]uint64
	fd := here
	_, _, number := syscall.Syscall6(statxNumber(), uintptr(fd), uintptr(unsafe.Pointer(name)), 0, onlyINO, uintptr(unsafe.Pointer(&st)), 0)
	switch {
	case number == 0:
	case errors.Is(number, fs.ErrNotExist):
		return false, &fs.PathError{Op: "stat", Path: path, Err: number}
	default: // a kernel, or a sandbox, that does not know it
		return sameFileByStat(path, known)
	}
	at := func(offset uintptr) uint32 { return *(*uint32)(unsafe.Add(unsafe.Pointer(&st), offset)) }
	major, minor := uint64(at(majorDev)), uint64(at(minorDev))
	dev := major&0xfff<<8 | major&^uint64(0xfff)<<32 | minor&0xff | minor&^uint64(0xff)<<12 // as stat packs it
	return st[inode/8] == whole.Ino && dev == uint64(whole.Dev), nil
}

// statxNumber is the system call's; 0: not known for this architecture.
func statxNumber() uintptr {
	switch runtime.GOARCH {
	case "amd64":
		return 332
	case "arm64", "riscv64", "loong64":
		return 291
	}
	return 0
}
