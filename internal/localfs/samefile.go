package localfs

import "os"

// sameFileByStat implements SameFile with os.Stat, on any system.
func sameFileByStat(path string, known os.FileInfo) (bool, error) {
	info, err := os.Stat(path)
	return err == nil && os.SameFile(info, known), err
}
