//go:build !cgo

package sqlite

import (
	"errors"

	"github.com/idem-go/idem/journal"
)

// Open says at run time what is missing, instead of failing to compile in
// go-sqlite3, which is an empty shell without cgo. New takes another journal.
func Open(string) (journal.Journal, error) {
	return nil, errors.New("idem: this program was built without cgo, so it has no SQLite: build it with CGO_ENABLED=1 and a C compiler, or give New another journal")
}
