//go:build unix

package lockfile_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/lockfile"
)

// TestHeld_ManyAtOnce_DoNotSeeEachOther: two processes that look at the slot of a dead
// owner must not take each other for that owner.
func TestHeld_ManyAtOnce_DoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	type answer struct {
		held bool
		err  error
	}
	answers := make(chan answer, 8)
	for range cap(answers) {
		f := open(t, path)
		go func() {
			var a answer
			for range 200 {
				held, err := f.Held(lockfile.FirstOwnerSlot)
				if held || err != nil {
					a = answer{held, err}
				}
			}
			answers <- a
		}()
	}
	for range cap(answers) {
		require.Equal(t, answer{}, <-answers)
	}
}
