//go:build unix

package lockfile

import (
	"errors"

	"golang.org/x/sys/unix"
)

// retryInterrupted repeats call until a signal does not interrupt it.
func retryInterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
