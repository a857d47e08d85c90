//go:build unix

package localfs

import (
	"os"
	"syscall"
)

// HasHardLinks reports whether a file has more than one name. It takes a result of
// os.Stat.
func HasHardLinks(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink > 1
}
