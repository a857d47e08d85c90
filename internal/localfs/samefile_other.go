//go:build !linux

package localfs

import "os"

// SameFile reports whether path leads to the file that known describes; known is a
// result of os.Stat. The error matches fs.ErrNotExist if there is no file at path.
func SameFile(path string, known os.FileInfo) (bool, error) { return sameFileByStat(path, known) }
