package localfs

import "os"

// sameFileByStat is SameFile on any system.
func sameFileByStat(path string, known os.FileInfo) (bool, error) {
	info, err := os.Stat(path)
	return err == nil && os.SameFile(info, known), err
}
