package idem_test

import (
	"context"
	"testing"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// slowBegin is a journal whose first Begin returns only when it is let go, though
// what it inserted is there for everybody.
type slowBegin struct {
	idem.Journal
	began, release chan struct{}
}

func (s *slowBegin) Begin(ctx context.Context, r *idem.Record, g idem.Checks) (idem.Conflict, *idem.Record, error) {
	obstacle, standing, err := s.Journal.Begin(ctx, r, g)
	if obstacle == idem.NoConflict && err == nil {
		close(s.began)
		<-s.release
	}
	return obstacle, standing, err
}

// TestABeginThatReturnsLate: another caller found the intent and carried it out
// before the call that began it went on. What is settled is not sent again, and
// what failed is not sent behind the journal's back.
func TestABeginThatReturnsLate(t *testing.T) {
	t.Parallel()
	for _, cents := range []int{500, -500} { // done, and refused
		w := newWorld(t)
		j, err := idem.OpenJournal(w.path)
		require.NoError(t, err)
		slow := &slowBegin{j, make(chan struct{}), make(chan struct{})}
		c, err := idem.New(slow, idem.WithPolicy("create_invoice", stripe()))
		require.NoError(t, err)
		first := make(chan answer, 1)
		go func() {
			in, err := c.Begin(context.Background(), order(), w.invoice(cents))
			if err != nil {
				first <- answer{err: err}
				return
			}
			first <- do(context.Background(), in)
		}()
		<-slow.began
		second := do(context.Background(), w.mustBegin(c, cents))
		require.NoError(t, second.err)
		close(slow.release)
		got := <-first
		require.NoError(t, got.err)
		require.Equal(t, second.body, got.body)
		require.Len(t, w.server.Arrivals(), 1)
		require.NoError(t, c.Close())
	}
}
