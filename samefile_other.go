//go:build !linux

package idem

import "os"

// isFile tells whether a path leads to the file that known describes.
func isFile(path string, known os.FileInfo) (bool, error) { return isFileByStat(path, known) }
