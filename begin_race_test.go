package idem_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/journal"

	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// slowBegin is a journal whose first Begin returns only when it is let go, though
// what it inserted is there for everybody.
type slowBegin struct {
	idem.Journal
	began, release chan struct{}
}

func (s *slowBegin) Begin(ctx context.Context, r *journal.Record, g journal.Checks) (journal.Conflict, *journal.Record, error) {
	obstacle, standing, err := s.Journal.Begin(ctx, r, g)
	if obstacle == journal.NoConflict && err == nil {
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
		w := clientkit.NewWorld(t)
		j, err := idem.OpenJournal(w.Path)
		require.NoError(t, err)
		slow := &slowBegin{j, make(chan struct{}), make(chan struct{})}
		c, err := idem.New(slow, idem.WithPolicy("create_invoice", clientkit.Stripe()))
		require.NoError(t, err)
		first := make(chan clientkit.Answer, 1)
		go func() {
			in, err := c.Begin(context.Background(), clientkit.Order(), w.Invoice(cents))
			if err != nil {
				first <- clientkit.Answer{Err: err}
				return
			}
			first <- clientkit.Do(context.Background(), in)
		}()
		<-slow.began
		second := clientkit.Do(context.Background(), w.MustBegin(c, cents))
		require.NoError(t, second.Err)
		close(slow.release)
		got := <-first
		require.NoError(t, got.Err)
		require.Equal(t, second.Body, got.Body)
		require.Len(t, w.Server.Arrivals(), 1)
		require.NoError(t, c.Close())
	}
}
