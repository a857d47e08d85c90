//go:build unix

package lockfile

import (
	"errors"

	"golang.org/x/sys/unix"
)

func retryInterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
