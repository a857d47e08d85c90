//go:build unix

package localfs

import (
	"os"
	"syscall"
)

// HasHardLinks tells whether a file has hard links.
func HasHardLinks(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink > 1
}
