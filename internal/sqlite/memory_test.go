//go:build cgo

package sqlite_test

import (
	"bytes"
	"context"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// Holding is a child that begins many intents, keeps them, and says how much
// memory its Go heap holds then, what the callers' own requests hold excepted.
func (children) Holding(l *testkit.Link) error {
	var path string
	if err := l.Args(&path); err != nil {
		return err
	}
	c, err := idem.Open(path, idem.WithPolicy("*", idem.Policy{Contract: idem.Stripe()}))
	if err != nil {
		return err
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	const intents, callers = 10_000, 64
	held := make([]*idem.Intent, intents)
	failed := make(chan error, callers)
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := caller; i < intents; i += callers {
				body := bytes.Repeat([]byte{byte(i)}, 16<<10)
				req, err := http.NewRequest(http.MethodPost, "http://api.invalid/v1/files", bytes.NewReader(body))
				if err == nil {
					held[i], err = c.Begin(context.Background(), idem.Operation{Name: "upload", ID: strconv.Itoa(i)}, req)
				}
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
	}
	l.Say("%d", heap()-before)
	runtime.KeepAlive(held)
	return c.Close()
}

// Ten thousand pending intents of 16 KiB, each held by its caller, cost less than
// 300 MiB: their bytes are there once, besides the caller's own.
func TestMemoryOfPendingIntents(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	p := testkit.StartChild(t, "Holding", path)
	used, err := strconv.ParseInt(p.Hear(), 10, 64)
	require.NoError(t, err)
	p.Wait()
	clientkit.CheckJournal(t, path)
	t.Logf("%d MiB", used>>20)
	require.Less(t, used, int64(300<<20))
}
