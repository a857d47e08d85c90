package localfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// IsLocals are those whose locks, shared memory and fsync SQLite's WAL can
// rely on, by the type that statfs reports.
func knownLocal(kind int64) bool {
	switch uint32(kind) {
	case 0xef53, // ext2, ext3, ext4
		0x58465342,             // xfs
		0x9123683e,             // btrfs
		0xf2f52010,             // f2fs
		0x2fc12fc1,             // zfs
		0xca451a4e,             // bcachefs
		0x01021994, 0x858458f6, // tmpfs, ramfs
		0x794c7630, // overlayfs
		0x3153464a, // jfs
		0x52654973, // reiserfs
		0x3434,     // nilfs
		0x4d44:     // vfat
		return true
	}
	return false
}

func IsLocal(folder string) error {
	var fs syscall.Statfs_t
	if err := retryInterrupted(func() error { return syscall.Statfs(folder, &fs) }); err != nil {
		return fmt.Errorf("statfs %s: %w", folder, err)
	}
	if !knownLocal(int64(fs.Type)) {
		return fmt.Errorf("%s is on a file system of type %#x, which is not known to keep locks and fsync as SQLite's WAL needs them, such as a network one: use a local disk", folder, uint32(fs.Type))
	}
	if fs.Flags&syscall.MS_RDONLY != 0 { // statfs has the same bit for it as mount
		return fmt.Errorf("%s is on a file system that is mounted read-only: mount it read-write, or name another folder", folder)
	}
	return nil
}

// OpenInProcess refuses a file that this process has open already: a second opener
// would be taken for another process, and closing any descriptor of it drops
// SQLite's locks on it.
func OpenInProcess(path string) error {
	wanted, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil // no /proc: the other process-wide checks remain
	}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		info, err := os.Stat(filepath.Join("/proc/self/fd", strconv.Itoa(n)))
		if err == nil && os.SameFile(info, wanted) {
			return errors.New("it is open in this process already: use that client, from as many goroutines as you like, or close it first")
		}
	}
	return nil
}

// HasHardLinks tells whether a file has hard links.
func HasHardLinks(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink > 1
}

func SyncDir(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func retryInterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
