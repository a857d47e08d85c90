//go:build linux && cgo

package power

import (
	"errors"
	"os"
	"syscall"

	"github.com/idem-go/idem/lab/vfs"
)

// Lab is where the suites work. The zero value works in memory, where there is a
// file system for that, and keeps no images.
type Lab struct {
	Folder string // where images are booted; empty: /dev/shm, else the temporary folder
	Kept   string // where images that broke a rule are kept; empty: they are not
}

const memory, memoryType = "/dev/shm", 0x01021994 // tmpfs

// rig makes the folder that a suite works in; done removes it.
func (l Lab) rig() (g rig, done func() error, err error) {
	if err := vfs.Install(); err != nil {
		return rig{}, nil, err
	}
	parent := l.Folder
	var fs syscall.Statfs_t
	if parent == "" && syscall.Statfs(memory, &fs) == nil && uint32(fs.Type) == memoryType {
		parent = memory
	}
	folder, err := os.MkdirTemp(parent, "idem-lab-")
	if err != nil && l.Folder == "" {
		folder, err = os.MkdirTemp("", "idem-lab-")
	}
	if err != nil {
		return rig{}, nil, errors.Join(errors.New("the lab needs a folder to work in"), err)
	}
	if l.Kept != "" {
		if err := os.MkdirAll(l.Kept, 0o700); err != nil {
			return rig{}, nil, err
		}
	}
	return rig{folder: folder, kept: l.Kept}, func() error { return os.RemoveAll(folder) }, nil
}
