package localfs

import "os"

// IsLocal returns nil: a network share is not detected on Windows.
func IsLocal(string) error { return nil }

// OpenInProcess returns nil: Windows does not list the open files of a process.
func OpenInProcess(string) error { return nil }

// HasHardLinks returns false: on Windows, os.Stat does not count a file's names.
func HasHardLinks(os.FileInfo) bool { return false }

// SyncDir returns nil: Windows cannot sync a directory.
func SyncDir(string) error { return nil }
