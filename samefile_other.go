//go:build !linux

package idem

import "os"

// isFile tells whether a path leads to the file that known describes.
func isFile(path string, known os.FileInfo) (bool, error) {
	info, err := os.Stat(path)
	return err == nil && os.SameFile(info, known), err
}
