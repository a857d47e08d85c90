package idem

import "os"

// isFileByStat is isFile on any system.
func isFileByStat(path string, known os.FileInfo) (bool, error) {
	info, err := os.Stat(path)
	return err == nil && os.SameFile(info, known), err
}
