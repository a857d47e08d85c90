package localfs

import "os"

// IsLocal reports no error: Windows does not tell the kind of a file system here,
// so that a network share is not noticed.
func IsLocal(string) error { return nil }

// OpenInProcess reports no error: Windows does not tell which files a process has
// open.
func OpenInProcess(string) error { return nil }

// HasHardLinks reports false: the links of a file cannot be counted here without
// opening it.
func HasHardLinks(os.FileInfo) bool { return false }

// SyncDir does nothing: Windows cannot sync a directory.
func SyncDir(string) error { return nil }
