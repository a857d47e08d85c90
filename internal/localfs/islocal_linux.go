package localfs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// IsLocal returns an error unless the directory is on a local file system on which
// SQLite's WAL works, mounted read-write. It fails if the system cannot tell.
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

// knownLocal reports whether SQLite's WAL can rely on locks, shared memory and fsync
// of file systems of this type, as statfs returns it.
func knownLocal(kind int64) bool {
	const ( // of file systems outside the kernel's magic.h
		zfs = 0x2fc12fc1
		jfs = 0x3153464a
	)
	switch uint32(kind) {
	case unix.EXT4_SUPER_MAGIC, // also ext2 and ext3
		unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, zfs, unix.BCACHEFS_SUPER_MAGIC,
		unix.TMPFS_MAGIC, unix.RAMFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC,
		jfs, unix.REISERFS_SUPER_MAGIC, unix.NILFS_SUPER_MAGIC,
		unix.MSDOS_SUPER_MAGIC: // vfat
		return true
	}
	return false
}

// retryInterrupted repeats call until a signal does not interrupt it.
func retryInterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
