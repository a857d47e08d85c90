package localfs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// IsLocals are those whose locks, shared memory and fsync SQLite's WAL can
// rely on, by the type that statfs reports.
func knownLocal(kind int64) bool {
	const ( // not in the kernel's linux/magic.h
		zfs = 0x2fc12fc1
		jfs = 0x3153464a
	)
	switch uint32(kind) {
	case unix.EXT4_SUPER_MAGIC, // ext2 and ext3 too
		unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, zfs, unix.BCACHEFS_SUPER_MAGIC,
		unix.TMPFS_MAGIC, unix.RAMFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC,
		jfs, unix.REISERFS_SUPER_MAGIC, unix.NILFS_SUPER_MAGIC,
		unix.MSDOS_SUPER_MAGIC: // vfat
		return true
	}
	return false
}

func IsLocal(folder string) error {
	var fs unix.Statfs_t
	if err := retryInterrupted(func() error { return unix.Statfs(folder, &fs) }); err != nil {
		return fmt.Errorf("statfs %s: %w", folder, err)
	}
	if !knownLocal(int64(fs.Type)) {
		return fmt.Errorf("%s is on a file system of type %#x, which is not known to keep locks and fsync as SQLite's WAL needs them, such as a network one: use a local disk", folder, uint32(fs.Type))
	}
	if fs.Flags&unix.ST_RDONLY != 0 {
		return fmt.Errorf("%s is on a file system that is mounted read-only: mount it read-write, or name another folder", folder)
	}
	return nil
}

func retryInterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
