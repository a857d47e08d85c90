package sim

import (
	"errors"
	"testing"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/journal/journaltest"
)

// The journal that simulated agents share keeps what any journal must.
func TestStore(t *testing.T) {
	t.Parallel()
	stores := map[string]*store{}
	open := func(name string) *opener {
		if stores[name] == nil {
			stores[name] = newStore()
		}
		return stores[name].open()
	}
	journaltest.Run(t,
		func(name string) (idem.Journal, error) { return open(name), nil },
		func(name string) (idem.Journal, func() error, error) {
			if stores[name] == nil {
				return nil, nil, errors.New("it is not open")
			}
			o := open(name)
			return o, o.kill, nil
		})
}
